"""Words and phrases that speak for or against, found in the labelled reviews themselves.

From a few thousand reviews a small model does not find out for a long time that sentiment hangs
on words (each is rare). So the words whose share of positive reviews is far from one half are
asked for by themselves, a few at a time: short rows that teach the same labels.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from itertools import pairwise

from .examples import WORDS, Example
from .label_tasks import SENTIMENT, label_example
from .sources import training_rows

CLEAR = 2.2  # standard deviations from an even share
ROWS = 60_000


def polar_phrases(dropped: Counter[str]) -> list[tuple[str, float]]:
    """One and two words, with how clearly they are of positive (or, below 0, negative) reviews.

    The number is in standard deviations from what words that say nothing would show.
    """
    seen: dict[int, Counter[str]] = {0: Counter(), 1: Counter()}
    for name in ("mr", "imdb", "yelp_polarity"):
        for row in training_rows(name, dropped):
            words = [w.strip('.,!?"()') for w in row["text"].lower().split()]
            pairs = (f"{a} {b}" for a, b in pairwise(words) if a and b)
            seen[row["label"]].update({*words, *pairs})
    found = []
    for phrase in sorted({*seen[0], *seen[1]}):
        against, for_it = seen[0][phrase], seen[1][phrase]
        clear = (for_it - against) / math.sqrt(for_it + against)
        if abs(clear) >= CLEAR and len(phrase) > 2:
            found.append((phrase, clear))
    return found


def polarity_examples(rng: random.Random, dropped: Counter[str]) -> list[Example]:
    """Rows of one to four phrases of one polarity, asked as a review is."""
    phrases = polar_phrases(dropped)
    sides = [[p for p in phrases if p[1] < 0], [p for p in phrases if p[1] > 0]]
    weights = [[abs(clear) * (1.0 if " " in p else 2.0) for p, clear in side] for side in sides]
    examples = []
    for _ in range(ROWS):
        label = rng.randrange(2)
        chosen = rng.choices(sides[label], weights[label], k=rng.choice((1, 2, 2, 3, 4)))
        text = rng.choice((" , ", " and ", " ")).join(phrase for phrase, _ in chosen)
        examples.append(label_example(text, label, SENTIMENT, rng, WORDS))
    return examples
