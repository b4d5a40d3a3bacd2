"""Metrics of generation without references: Distinct-1 and Distinct-2."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from promptgraft.metrics.metric import Metric, References, Texts

if TYPE_CHECKING:
    from promptgraft.metrics.metric import Rows


def _distinct(order: int) -> Metric:
    def over(predictions: Texts, references: References) -> Callable[[Rows], float]:
        words = [prediction.split() for prediction in predictions]
        grams = [list(zip(*(row[n:] for n in range(order)), strict=False)) for row in words]

        def at(rows: Rows) -> float:
            total = sum(len(grams[row]) for row in rows)
            different = set().union(*(grams[row] for row in rows))
            return 100 * len(different) / total if total else 0.0

        return at

    return Metric(over, bootstrap=False)


distinct1 = _distinct(1)
"""Different words per word over all predictions (Li et al. 2016), 0 to 100; words end at white
space. References play no part."""

distinct2 = _distinct(2)
"""Different pairs of neighbouring words per pair, as `distinct1`."""
