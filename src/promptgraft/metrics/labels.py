"""Metrics of classification: accuracy, F1, Matthews correlation."""

from __future__ import annotations

import warnings
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


def _from_codes(value: Callable[[NDArray[Any], NDArray[Any], list[str]], float]) -> Metric:
    """A metric from value(references, predictions, labels), labels given as numbers.

    The labels are those of the references, in order of their names, then those that were only
    predicted; numbers make a bootstrap fast.
    """

    def over(predictions: Texts, references: References) -> Callable[[Rows], float]:
        import numpy as np

        expected, got = single(references), [prediction.strip() for prediction in predictions]
        labels = sorted(set(expected))
        labels += sorted(set(got) - set(labels))
        code = {label: number for number, label in enumerate(labels)}
        y_true = np.array([code[label] for label in expected])
        y_pred = np.array([code[label] for label in got])

        def at(rows: Rows) -> float:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # sklearn's, on a sample with one label only
                return 100 * value(y_true[rows], y_pred[rows], labels)

        return at

    return Metric(over)


def _macro_f1(y_true: NDArray[Any], y_pred: NDArray[Any], labels: list[str]) -> float:
    import numpy as np
    from sklearn.metrics import f1_score

    return float(
        f1_score(y_true, y_pred, labels=np.unique(y_true), average="macro", zero_division=0)
    )


def _matthews(y_true: NDArray[Any], y_pred: NDArray[Any], labels: list[str]) -> float:
    from sklearn.metrics import matthews_corrcoef

    return float(matthews_corrcoef(y_true, y_pred))


def binary_f1(positive: str) -> Metric:
    """F1 of one label against the rest, 0 to 100; 0 where the label never occurs."""

    def value(y_true: NDArray[Any], y_pred: NDArray[Any], labels: list[str]) -> float:
        from sklearn.metrics import f1_score

        if positive not in labels:
            return 0.0
        number = labels.index(positive)
        return float(f1_score(y_true == number, y_pred == number, zero_division=0))

    return _from_codes(value)


accuracy = mean_of_rows(_hits)
"""Share of rows whose prediction is a reference, 0 to 100; outer white space does not count."""

f1 = _from_codes(_macro_f1)
"""Macro F1, 0 to 100: mean over the labels that occur in the references."""

matthews = _from_codes(_matthews)
"""Matthews correlation (Gorodkin 2004 for several labels), -100 to 100; 0 if one side is
constant."""
