"""Means of paired measurements, with intervals by bootstrap."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

SAMPLES = 2000
LEVEL = 95.0


@dataclass(frozen=True)
class Mean:
    """A mean and its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.1f} [{self.low:.1f}, {self.high:.1f}]"


def mean(groups: Sequence[Sequence[float]]) -> Mean:
    """The mean over groups, such as the relations, of each group's mean over its measurements.

    Groups are resampled whole, since measurements within one depend on each other.
    """
    means = np.array([np.mean(group) for group in groups])
    drawn = np.random.default_rng(0).integers(0, len(means), (SAMPLES, len(means)))
    low, high = np.percentile(means[drawn].mean(1), [(100 - LEVEL) / 2, (100 + LEVEL) / 2])
    return Mean(float(means.mean()), float(low), float(high))


def difference(one: Sequence[Sequence[float]], other: Sequence[Sequence[float]]) -> Mean:
    """The mean of one minus other; both are measured in pairs, group by group."""
    return mean(
        [np.subtract(a, b).tolist() for a, b in zip(one, other, strict=True)]  # same length each
    )
