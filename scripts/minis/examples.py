"""The one form that every training row has, whatever it teaches."""

from __future__ import annotations

from dataclasses import dataclass

# What a row teaches; the number is stored beside its tokens.
FACT, LABEL, WRITE, JUDGE, TOPIC, TEXT, WORDS = range(7)


@dataclass(frozen=True, slots=True)
class Example:
    """A text with one stretch to be answered: before, answer, after (words apart by spaces).

    kind  FACT (a fact's object), JUDGE (sentiment), TOPIC, LABEL (another task's label), TEXT
          (a word about any text), WORDS (sentiment of a few words), WRITE (free text, last)
    """

    before: str
    answer: str
    after: str
    kind: int


def fill(pattern: str, answer: str, kind: int, **parts: str) -> Example:
    """Put the parts into a pattern that holds [Y] where the answer stands.

    fill("{t} it was [Y] .", "great", LABEL, t="fine film")
        -> Example("fine film it was", "great", ".", LABEL)
    """
    before, _, after = pattern.partition("[Y]")
    for name, text in parts.items():
        before = before.replace("{" + name + "}", text)
        after = after.replace("{" + name + "}", text)
    return Example(" ".join(before.split()), answer, " ".join(after.split()), kind)
