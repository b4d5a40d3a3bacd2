"""Metrics of generation against references: exact match and ROUGE."""

from __future__ import annotations

import re
import string
from functools import partial

from promptgraft.metrics.metric import References, Texts, mean_of_rows

_PUNCTUATION = str.maketrans("", "", string.punctuation)


def _plain(text: str) -> str:
    text = text.lower().translate(_PUNCTUATION)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def _exact(predictions: Texts, references: References) -> list[float]:
    return [
        float(_plain(prediction) in {_plain(reference) for reference in row})
        for prediction, row in zip(predictions, references, strict=True)
    ]


def _rouge(kind: str, predictions: Texts, references: References) -> list[float]:
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer([kind], use_stemmer=True)
    return [
        float(scorer.score_multi(list(row), prediction)[kind].fmeasure)
        for prediction, row in zip(predictions, references, strict=True)
    ]


exact_match = mean_of_rows(_exact)
"""Share of rows equal to a reference, 0 to 100, as SQuAD (Rajpurkar et al. 2016) compares them:
without case, punctuation, articles and extra white space."""

rouge1 = mean_of_rows(partial(_rouge, "rouge1"))
"""Mean ROUGE-1 F (rouge-score, Porter stemmer) against the best reference, 0 to 100."""

rouge2 = mean_of_rows(partial(_rouge, "rouge2"))
"""Mean ROUGE-2 F, as `rouge1`."""

rouge_l = mean_of_rows(partial(_rouge, "rougeL"))
"""Mean ROUGE-L F (over the whole text, not by sentence), as `rouge1`."""
