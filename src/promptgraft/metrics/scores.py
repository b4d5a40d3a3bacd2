"""Metrics of regression: Pearson and Spearman correlation of numbers written as text."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from promptgraft.errors import DataError
from promptgraft.metrics.labels import single
from promptgraft.metrics.metric import Metric, References, Texts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from promptgraft.metrics.metric import Rows


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _correlation(coefficient: Callable[[NDArray[Any], NDArray[Any]], float]) -> Metric:
    def over(predictions: Texts, references: References) -> Callable[[Rows], float]:
        import numpy as np

        expected = []
        for number, text in enumerate(single(references)):
            value = _number(text)
            if value is None:
                raise DataError(f"A correlation needs numbers; the reference {number} is {text!r}.")
            expected.append(value)
        # A prediction that is no number says nothing: it gets the mean, which neither helps nor
        # stops a run that has not learned to write numbers yet.
        mean = sum(expected) / len(expected)
        got = [mean if (value := _number(text)) is None else value for text in predictions]
        x, y = np.array(got), np.array(expected)

        def at(rows: Rows) -> float:
            a, b = x[rows], y[rows]
            if np.ptp(a) == 0 or np.ptp(b) == 0:
                return 0.0
            return 100 * coefficient(a, b)

        return at

    return Metric(over)


def _pearson(x: NDArray[Any], y: NDArray[Any]) -> float:
    from scipy.stats import pearsonr

    return float(pearsonr(x, y).statistic)


def _spearman(x: NDArray[Any], y: NDArray[Any]) -> float:
    from scipy.stats import spearmanr

    return float(spearmanr(x, y).statistic)


pearson = _correlation(_pearson)
"""Pearson correlation, -100 to 100; 0 if one side is constant. Not a number counts as the mean."""

spearman = _correlation(_spearman)
"""Spearman rank correlation, -100 to 100, with the conventions of `pearson`."""
