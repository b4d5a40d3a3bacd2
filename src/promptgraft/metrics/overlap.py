"""Metrics of generation against references: exact match, BLEU, ROUGE."""

from __future__ import annotations

import re
import string
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from promptgraft.metrics.metric import Metric, References, Texts, mean_of_rows

if TYPE_CHECKING:
    from promptgraft.metrics.metric import Rows

_PUNCTUATION = str.maketrans("", "", string.punctuation)


def _plain(text: str) -> str:
    text = text.lower().translate(_PUNCTUATION)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def _exact(predictions: Texts, references: References) -> list[float]:
    return [
        float(_plain(prediction) in {_plain(reference) for reference in row})
        for prediction, row in zip(predictions, references, strict=True)
    ]


def _bleu(predictions: Texts, references: References) -> Callable[[Rows], float]:
    """Corpus BLEU as a function of the rows: n-gram counts of rows add up."""
    import numpy as np
    from sacrebleu.metrics.bleu import BLEU

    scorer = BLEU(effective_order=True)  # of its sentence scores only the counts are used
    counts = []
    for prediction, row in zip(predictions, references, strict=True):
        score = scorer.sentence_score(prediction, list(row))
        counts.append([*score.counts, *score.totals, score.sys_len, score.ref_len])
    table = np.array(counts)

    def at(rows: Rows) -> float:
        *grams, written, expected = table[rows].sum(axis=0).tolist()
        order = len(grams) // 2
        return float(BLEU.compute_bleu(grams[:order], grams[order:], written, expected).score)

    return at


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

bleu = Metric(_bleu)
"""Corpus BLEU of sacrebleu (its defaults: 13a tokens, case counts, exponential smoothing), 0 to
100. Rows may differ in their number of references."""

rouge1 = mean_of_rows(partial(_rouge, "rouge1"))
"""Mean ROUGE-1 F (rouge-score, Porter stemmer) against the best reference, 0 to 100."""

rouge2 = mean_of_rows(partial(_rouge, "rouge2"))
"""Mean ROUGE-2 F, as `rouge1`."""

rouge_l = mean_of_rows(partial(_rouge, "rougeL"))
"""Mean ROUGE-L F (over the whole text, not by sentence), as `rouge1`."""
