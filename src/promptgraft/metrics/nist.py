"""NIST (Doddington 2002) as mteval-v13a and with it the E2E challenge's script count it.

nltk's takes the length of one reference where the official tool takes the mean of all.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from promptgraft.metrics.metric import Metric, References, Texts

if TYPE_CHECKING:
    from promptgraft.metrics.metric import Rows

ORDER = 5
BETA = math.log(0.5) / math.log(1.5) ** 2  # an output of 2/3 of the length is worth half

Grams = Counter[tuple[str, ...]]


def _over(predictions: Texts, references: References) -> Callable[[Rows], float]:
    from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

    tokenizer = Tokenizer13a()  # type: ignore[no-untyped-call]

    def words(text: str) -> list[str]:
        return str(tokenizer(text)).lower().split()

    written = [words(text) for text in predictions]
    expected = [[words(text) for text in row] for row in references]
    counted = [[_grams(text) for text in row] for row in expected]
    hits = [_clipped(_grams(text), row) for text, row in zip(written, counted, strict=True)]

    def at(rows: Rows) -> float:
        """sum_n sum(information of shared n-grams) / n-grams written, times the length penalty."""
        known = Grams()
        for row in rows:
            for grams in counted[row]:
                known.update(grams)
        total = sum(sum(map(len, expected[row])) for row in rows)
        gains = [0.0] * ORDER
        for row in rows:
            for gram, count in hits[row].items():
                before = known[gram[:-1]] if len(gram) > 1 else total
                gains[len(gram) - 1] += count * math.log2(before / known[gram])
        possible = [sum(max(0, len(written[row]) - n) for row in rows) for n in range(ORDER)]
        gain = sum(gain / count for gain, count in zip(gains, possible, strict=True) if count)
        usual = sum(sum(map(len, expected[row])) / len(expected[row]) for row in rows)
        return gain * _penalty(possible[0] / usual if usual else 0.0)

    return at


def _grams(words: list[str]) -> Grams:
    return Counter(
        tuple(words[start : start + size])
        for size in range(1, ORDER + 1)
        for start in range(len(words) - size + 1)
    )


def _clipped(written: Grams, references: Iterable[Grams]) -> Grams:
    """The n-grams written, each as often as the reference that has it most often."""
    hits = Grams()
    for grams in references:
        hits |= written & grams
    return hits


def _penalty(ratio: float) -> float:
    if ratio <= 0:
        return 0.0
    return math.exp(BETA * math.log(min(ratio, 1)) ** 2)


nist = Metric(_over, bootstrap=False)
"""NIST over 5-grams: 13a tokens, case does not count; 0 or more, about 8 for good systems on E2E.
The information of an n-gram depends on all references, so there is no bootstrap."""
