"""Samples: size, stratification, and the same rows wherever and in whatever order."""

import hashlib
import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptgraft.errors import DataError
from promptgraft.tasks.sampling import data_hash, divide, sample, sample_per_label

ROWS = [{"text": f"text {i}", "label": i % 3} for i in range(60)]
LABELS = ["0", "1", "2"]

few_texts = st.lists(st.sampled_from("abcdefgh"), min_size=4, max_size=30)


def test_the_rows_of_a_seed_are_fixed_for_good():
    # SHA-256 over "<seed>\n<row as JSON>", by hand.
    def rank(row):
        line = json.dumps(row, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(f"7\n{line}".encode()).hexdigest()

    assert sample(ROWS, 5, seed=7) == sorted(ROWS, key=rank)[:5]


def test_order_of_the_file_does_not_matter():
    shuffled = random.Random(0).sample(ROWS, len(ROWS))
    assert sample(shuffled, 8, 1) == sample(ROWS, 8, 1)
    assert sample_per_label(shuffled, 4, 1, LABELS) == sample_per_label(ROWS, 4, 1, LABELS)


def test_seeds_differ_and_small_samples_are_part_of_large_ones():
    assert sample(ROWS, 8, 1) != sample(ROWS, 8, 2)
    assert sample(ROWS, 8, 1) == sample(ROWS, 20, 1)[:8]


def test_n_different_rows_of_every_label():
    rows = sample_per_label(ROWS * 2, 5, 0, LABELS)
    assert [row["label"] for row in rows] == [0] * 5 + [1] * 5 + [2] * 5
    assert len({row["text"] for row in rows}) == 15


def test_too_few_of_a_label():
    rows = [{"text": "a", "label": "x"}, {"text": "b", "label": "x"}, {"text": "a", "label": "y"}]
    with pytest.raises(DataError, match=r"y has 1\. Ask for 1 or fewer"):
        sample_per_label([*rows, rows[2]], 2, 0, ["x", "y"])


def test_a_sample_of_nothing():
    with pytest.raises(DataError, match="at least one row"):
        sample(ROWS, 0, 0)


@settings(deadline=None)
@given(few_texts)
def test_divided_rows_are_all_there_and_no_input_is_in_two_parts(texts):
    rows = [{"source": text, "target": str(number)} for number, text in enumerate(texts)]
    parts = {"validation": 10, "test": 20}
    if len(set(texts)) < 3:
        with pytest.raises(DataError, match="too few to divide"):
            divide(rows, ["source"], parts)
        return
    divided = divide(rows, ["source"], parts)
    assert sorted(row["target"] for part in divided.values() for row in part) == sorted(
        row["target"] for row in rows
    )
    inputs = [{row["source"] for row in part} for part in divided.values()]
    assert all(inputs)
    assert sum(map(len, inputs)) == len(set(texts))


def test_shares_of_a_division():
    divided = divide([{"text": str(i)} for i in range(1000)], ["text"], {"validation": 10})
    assert {name: len(rows) for name, rows in divided.items()} == {"train": 900, "validation": 100}


def test_data_hash_is_sha256_of_the_rows_in_order():
    rows = [{"b": "ä", "a": 1}, {"a": 2}]
    lines = '{"a": 1, "b": "ä"}\n{"a": 2}\n'.encode()
    assert data_hash(rows) == hashlib.sha256(lines).hexdigest()
    assert data_hash(rows[::-1]) != data_hash(rows)
