"""Metrics of classification: accuracy, F1, Matthews correlation."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from promptgraft.errors import DataError
from promptgraft.metrics.metric import Metric, References, Texts, mean_of_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from promptgraft.metrics.metric import Rows


def single(references: References) -> list[str]:
    """The one reference of every row; DataError where a row has several."""
    for number, row in enumerate(references):
        if len(row) != 1:
            raise DataError(
                f"This metric takes one reference for each row; row {number} has {len(row)}."
            )
    return [row[0].strip() for row in references]


def _hits(predictions: Texts, references: References) -> list[float]:
    return [
        float(prediction.strip() in {reference.strip() for reference in row})
        for prediction, row in zip(predictions, references, strict=True)
    ]


def _from_counts(value: Callable[[NDArray[Any], list[str]], float]) -> Metric:
    """A metric from value(counts, labels), counts [label, predicted label].

    The labels are those of the references, in order of their names, then those that were only
    predicted. Counting is what makes a bootstrap fast: sklearn takes a millisecond for each sample.
    """

    def over(predictions: Texts, references: References) -> Callable[[Rows], float]:
        import numpy as np

        expected, got = single(references), [prediction.strip() for prediction in predictions]
        labels = sorted(set(expected))
        labels += sorted(set(got) - set(labels))
        code = {label: number for number, label in enumerate(labels)}
        size = len(labels)
        cells = np.array([code[e] * size + code[g] for e, g in zip(expected, got, strict=True)])

        def at(rows: Rows) -> float:
            counts = np.bincount(cells[rows], minlength=size * size).reshape(size, size)
            return 100 * value(counts, labels)

        return at

    return Metric(over)


def _macro_f1(counts: NDArray[Any], labels: list[str]) -> float:
    expected, got = counts.sum(1), counts.sum(0)
    there = expected > 0
    return float((2 * counts.diagonal()[there] / (expected + got)[there]).mean())


def _matthews(counts: NDArray[Any], labels: list[str]) -> float:
    expected, got, rows = counts.sum(1), counts.sum(0), counts.sum()
    covariance = rows * counts.trace() - expected @ got
    spread = float(rows**2 - expected @ expected) * float(rows**2 - got @ got)
    return float(covariance / spread**0.5) if spread else 0.0


def binary_f1(positive: str) -> Metric:
    """F1 of one label against the rest, 0 to 100; 0 where the label never occurs."""

    def value(counts: NDArray[Any], labels: list[str]) -> float:
        if positive not in labels:
            return 0.0
        number = labels.index(positive)
        occurs = counts[number].sum() + counts[:, number].sum()
        return float(2 * counts[number, number] / occurs) if occurs else 0.0

    return _from_counts(value)


accuracy = mean_of_rows(_hits)
"""Share of rows whose prediction is a reference, 0 to 100; outer white space does not count."""

f1 = _from_counts(_macro_f1)
"""Macro F1, 0 to 100: mean over the labels that occur in the references."""

matthews = _from_counts(_matthews)
"""Matthews correlation (Gorodkin 2004 for several labels), -100 to 100; 0 if one side is
constant."""
