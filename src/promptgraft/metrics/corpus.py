"""Metrics of whole corpora, through sacrebleu: BLEU in its published readings, chrF++, TER."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from promptgraft.metrics.metric import Metric, References, Texts

if TYPE_CHECKING:
    from promptgraft.metrics.metric import Rows


def _added_up(make: Callable[[], Any]) -> Metric:
    """A metric of sacrebleu as a function of the rows: the statistics of rows add up."""

    def over(predictions: Texts, references: References) -> Callable[[Rows], float]:
        import numpy as np

        scorer = make()
        most = max(map(len, references))  # sacrebleu wants as many for each row, or None
        streams = [
            [row[number] if number < len(row) else None for row in references]
            for number in range(most)
        ]
        # Its public methods count everything anew for each sample of rows.
        table = np.array(scorer._extract_corpus_statistics(predictions, streams))

        def at(rows: Rows) -> float:
            return float(scorer._compute_score_from_stats(table[rows].sum(axis=0).tolist()).score)

        return at

    return Metric(over)


def _bleu(**settings: Any) -> Callable[[], Any]:
    def make() -> Any:
        from sacrebleu.metrics.bleu import BLEU

        return BLEU(force=True, **settings)

    return make


def _chrf() -> Any:
    from sacrebleu.metrics.chrf import CHRF

    return CHRF(word_order=2)


def _ter() -> Any:
    from sacrebleu.metrics.ter import TER

    return TER()


def _dialogue_bleu(order: int) -> Metric:
    return _added_up(_bleu(max_ngram_order=order, tokenize="none", smooth_method="none"))


bleu = _added_up(_bleu())
"""Corpus BLEU of sacrebleu (its defaults: 13a tokens, case counts, exponential smoothing), 0 to
100. Rows may differ in their number of references."""

e2e_bleu = _added_up(_bleu(lowercase=True, smooth_method="none"))
"""Corpus BLEU as the E2E challenge's script counts it: 13a tokens, case does not count, nothing is
smoothed."""

bleu1, bleu2, bleu3, bleu4 = map(_dialogue_bleu, (1, 2, 3, 4))
"""Corpus BLEU up to n-grams of that length with equal weights, as dialogue papers report it: words
end at white space, case counts, nothing is smoothed; the same as nltk's corpus_bleu."""

chrf = _added_up(_chrf)
"""chrF++ of sacrebleu: characters up to 6-grams, words up to 2-grams, against the best reference,
0 to 100."""

ter = _added_up(_ter)
"""Translation edit rate of sacrebleu: edits per word of the references, case does not count. 0 is
the best, and it may exceed 100."""
