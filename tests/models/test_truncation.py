"""Cutting to one level, against cutting one token at a time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptgraft.models.truncation import level


def one_at_a_time(lengths: list[int], total: int) -> list[int]:
    kept = list(lengths)
    while sum(kept) > total:
        kept[kept.index(max(kept))] -= 1
    return kept


@given(st.lists(st.integers(0, 40), min_size=1, max_size=6), st.data())
def test_the_longest_are_cut_first(lengths: list[int], data: st.DataObject):
    total = data.draw(st.integers(0, sum(lengths)))
    kept = level(lengths, total)
    assert sum(kept) == total
    assert all(0 <= new <= old for new, old in zip(kept, lengths, strict=True))
    assert sorted(kept) == sorted(one_at_a_time(lengths, total))


@pytest.mark.parametrize(
    ("lengths", "total", "kept"),
    [([10, 2], 8, [6, 2]), ([5, 5], 4, [2, 2]), ([3], 0, [0]), ([7, 1, 7], 15, [7, 1, 7])],
)
def test_examples(lengths: list[int], total: int, kept: list[int]):
    assert level(lengths, total) == kept
