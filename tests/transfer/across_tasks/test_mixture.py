"""Shares of tasks of different sizes in a joint run."""

from collections import Counter

import pytest

from promptgraft.errors import ConfigError
from promptgraft.transfer.across_tasks.mixture import mixture

SIZES = [7, 100, 30]


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        ("proportional", [7, 100, 30]),
        ("uniform", [100, 100, 100]),
        ("temperature", [26, 100, 55]),  # 100 · sqrt(n / 100)
    ],
)
def test_tasks_have_their_shares_and_every_row_is_seen(sampling, expected):
    chosen = mixture(SIZES, sampling, 2.0)
    assert [len(rows) for rows in chosen] == expected
    for size, rows in zip(SIZES, chosen, strict=True):
        times = Counter(rows)
        assert set(times) == set(range(size))
        assert max(times.values()) - min(times.values()) <= 1


def test_what_is_seen_more_often_depends_on_the_seed():
    assert mixture(SIZES, "temperature", seed=1) == mixture(SIZES, "temperature", seed=1)
    assert mixture(SIZES, "temperature", seed=1) != mixture(SIZES, "temperature", seed=2)


def test_a_temperature_of_one_is_proportional():
    assert [len(rows) for rows in mixture(SIZES, "temperature", 1.0)] == SIZES


def test_no_rows():
    with pytest.raises(ConfigError, match="no training rows"):
        mixture([3, 0], "uniform")
