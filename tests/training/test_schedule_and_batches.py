"""The learning rate and the batches of a run, both functions of the step."""

import random
from itertools import combinations

import pytest

from promptgraft.training.batches import Batches, alike
from promptgraft.training.schedule import rate

STEPS, ROWS, SIZE = 100, 103, 8


def test_linear_rises_and_falls_to_zero():
    rates = [rate(step, STEPS, 0.1, "linear") for step in range(STEPS)]
    assert rates[:10] == pytest.approx([0.1 * (i + 1) for i in range(10)])
    assert rates[10:] == pytest.approx([1 - i / 90 for i in range(90)])


def test_cosine_passes_one_half_in_the_middle():
    assert rate(50, STEPS, 0.0, "cosine") == pytest.approx(0.5)
    assert rate(0, STEPS, 0.0, "cosine") == pytest.approx(1.0)


def test_constant():
    assert {rate(step, STEPS, 0.0, "constant") for step in range(STEPS)} == {1.0}


def test_every_row_once_an_epoch():
    batches = Batches([1] * ROWS, SIZE, seed=0)
    for epoch in range(3):
        start = epoch * batches.per_epoch
        rows = [row for step in range(batches.per_epoch) for row in batches[start + step]]
        assert sorted(rows) == list(range(ROWS))


def test_the_same_for_a_seed_and_any_order_of_asking():
    lengths = list(range(ROWS))
    forwards = Batches(lengths, SIZE, seed=1)
    backwards = Batches(lengths, SIZE, seed=1)
    there = [forwards[step] for step in range(60)]
    back = [backwards[step] for step in reversed(range(60))][::-1]
    assert there == back
    assert there != [Batches(lengths, SIZE, seed=2)[step] for step in range(60)]


def test_rows_of_like_length_come_together():
    lengths = [row % 50 for row in range(1000)]
    batches = Batches(lengths, SIZE, seed=0)
    spans = [
        max(lengths[row] for row in batches[step]) - min(lengths[row] for row in batches[step])
        for step in range(batches.per_epoch)
    ]
    assert sum(spans) / len(spans) < 5  # of 49 with rows drawn at random: about 40


def test_rows_of_like_length_are_computed_together():
    assert alike([5, 5, 5], extra=1) == [[0, 1, 2]]
    assert sorted(map(sorted, alike([9, 200, 8, 210, 10], extra=50))) == [[0, 2, 4], [1, 3]]
    assert alike([9, 200, 8, 210, 10], extra=10_000) == [[2, 0, 4, 1, 3]]
    assert alike([]) == []


def test_no_other_division_costs_less():
    """Against all divisions of the rows in order of length."""
    draw = random.Random(0)
    for _ in range(50):
        lengths = [draw.randint(1, 60) for _ in range(draw.randint(1, 8))]
        extra = draw.randint(0, 80)

        def cost(parts, extra=extra):
            return sum(len(part) * max(part) + extra for part in parts)

        found = alike(lengths, extra)
        assert sorted(n for part in found for n in part) == list(range(len(lengths)))
        rows, places = sorted(lengths), range(1, len(lengths))
        least = min(
            cost([rows[a:b] for a, b in zip((0, *cuts), (*cuts, len(rows)), strict=True)])
            for count in range(len(rows))
            for cuts in combinations(places, count)
        )
        assert cost([[lengths[n] for n in part] for part in found]) == least
