"""The metrics by name."""

from __future__ import annotations

from collections.abc import Callable

from promptgraft.errors import ConfigError, did_you_mean
from promptgraft.metrics.coco import cider, coco_rouge_l, meteor
from promptgraft.metrics.corpus import bleu, bleu1, bleu2, bleu3, bleu4, chrf, e2e_bleu, ter
from promptgraft.metrics.diversity import distinct1, distinct2
from promptgraft.metrics.labels import accuracy, binary_f1, f1, matthews
from promptgraft.metrics.learned import bertscore, bleurt, moverscore
from promptgraft.metrics.metric import Metric
from promptgraft.metrics.nist import nist
from promptgraft.metrics.overlap import exact_match, rouge1, rouge2, rouge_l
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
    "bleu1": bleu1,
    "bleu2": bleu2,
    "bleu3": bleu3,
    "bleu4": bleu4,
    "chrf": chrf,
    "ter": ter,
    "e2e_bleu": e2e_bleu,
    "nist": nist,
    "meteor": meteor,
    "coco_rougeL": coco_rouge_l,
    "cider": cider,
}

# Metrics that are made from what stands after the colon: a label, or the name of a model.
_MADE: dict[str, Callable[..., Metric]] = {
    "f1": binary_f1,
    "bertscore": bertscore,
    "bleurt": bleurt,
    "moverscore": moverscore,
}


def names() -> list[str]:
    """The metrics that need no more than their name.

    `f1:yes` besides, the F1 of the label "yes" against the rest, and `bertscore`, `bleurt` and
    `moverscore`, which load a model, their usual one or the one named after a colon.
    """
    return list(_METRICS)


def get(name: str) -> Metric:
    """The metric called `name`.

    Raises ConfigError for an unknown name.
    """
    stem, colon, argument = name.partition(":")
    if argument and stem in _MADE:
        return _MADE[stem](argument)
    if colon or name not in {*_METRICS, *_MADE}:
        raise ConfigError(
            f"There is no metric {name!r}; there are {', '.join(_METRICS)}, f1:<label>, "
            f"bertscore, bleurt and moverscore." + did_you_mean(name, {**_METRICS, **_MADE})
        )
    return _METRICS[name] if name in _METRICS else _MADE[name]()
