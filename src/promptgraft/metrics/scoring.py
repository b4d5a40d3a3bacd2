"""Values of metrics over rows, and how sure they are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from promptgraft.errors import ConfigError, DataError
from promptgraft.metrics.metric import References, Texts
from promptgraft.metrics.registry import get


def score(names: Iterable[str], predictions: Texts, references: References) -> dict[str, float]:
    """Value of every metric named, in per cent (correlations: -100 to 100).

    predictions  one text for each row
    references   one or more texts for each row; their number may differ from row to row

    Raises ConfigError for an unknown metric and one that lacks a package or program, DataError for
    texts that do not match up.
    """
    metrics = {name: get(name) for name in names}
    lacking = [f"{name} needs {lack}." for name in metrics if (lack := metrics[name].lack())]
    if lacking:
        raise ConfigError(" ".join(lacking))
    _check(predictions, references)
    return {name: metric(predictions, references) for name, metric in metrics.items()}


def interval(
    name: str, predictions: Texts, references: References, seed: int = 0, samples: int = 1000
) -> tuple[float, float]:
    """95 % percentile bootstrap interval of a metric: rows drawn with replacement `samples` times.

    Says how the value would vary with other test rows; not with other seeds of training.
    Raises as `score` does, and ConfigError for metrics without a bootstrap: those whose value
    repeated rows would change (Distinct, NIST) and those that take too long.
    """
    import numpy as np

    metric = get(name)
    if not metric.bootstrap:
        raise ConfigError(
            f"{name} has no bootstrap interval: repeated rows would change what it measures, or "
            "it takes too long. Compare runs of several seeds instead."
        )
    _check(predictions, references)
    value = metric.over(predictions, references)
    generator = np.random.default_rng(seed)
    count = len(predictions)
    values = [value(generator.integers(count, size=count)) for _ in range(samples)]
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def score_groups(
    names: Iterable[str], predictions: Texts, references: References, groups: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Group -> metric -> value over the rows of that group alone, groups in order of their names.

    groups  for each row the group it belongs to
    """
    names = list(names)
    found = {}
    for group in sorted(set(groups)):
        rows = [number for number, own in enumerate(groups) if own == group]
        found[group] = score(
            names, [predictions[row] for row in rows], [references[row] for row in rows]
        )
    return found


def _check(predictions: Texts, references: References) -> None:
    if len(predictions) != len(references):
        raise DataError(
            f"There are {len(predictions)} predictions and references for {len(references)} rows; "
            "they must be as many."
        )
    if not predictions:
        raise DataError("There are no predictions, so there is nothing to score.")
    for number, (prediction, row) in enumerate(zip(predictions, references, strict=True)):
        if not isinstance(prediction, str):
            raise DataError(f"Prediction {number} is {prediction!r}, not a text.")
        if isinstance(row, str):
            raise DataError(
                f"The references of row {number} are the text {row[:40]!r}; give a list of texts, "
                "even for one reference."
            )
        if not row or not all(isinstance(text, str) for text in row):
            raise DataError(f"The references of row {number} are {row!r}, not one or more texts.")
