"""The metrics by name."""

from __future__ import annotations

from promptgraft.errors import ConfigError, did_you_mean
from promptgraft.metrics.diversity import distinct1, distinct2
from promptgraft.metrics.labels import accuracy, binary_f1, f1, matthews
from promptgraft.metrics.metric import Metric
from promptgraft.metrics.overlap import bleu, exact_match, rouge1, rouge2, rouge_l
from promptgraft.metrics.scores import pearson, spearman

_METRICS: dict[str, Metric] = {
    "accuracy": accuracy,
    "f1": f1,
    "matthews": matthews,
    "pearson": pearson,
    "spearman": spearman,
    "exact_match": exact_match,
    "bleu": bleu,
    "rouge1": rouge1,
    "rouge2": rouge2,
    "rougeL": rouge_l,
    "distinct1": distinct1,
    "distinct2": distinct2,
}


def names() -> list[str]:
    """The metrics there are; `f1:yes` besides, the F1 of the label "yes" against the rest."""
    return list(_METRICS)


def get(name: str) -> Metric:
    """The metric called `name`.

    Raises ConfigError for an unknown name.
    """
    stem, colon, positive = name.partition(":")
    if stem == "f1" and positive:
        return binary_f1(positive)
    if colon or name not in _METRICS:
        raise ConfigError(
            f"There is no metric {name!r}; there are {', '.join(_METRICS)} and f1:<label>."
            + did_you_mean(name, _METRICS)
        )
    return _METRICS[name]
