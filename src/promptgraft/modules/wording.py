"""A worded template made trainable: each of its words a virtual token in its place.

Tuning then starts from what the model does when it is asked in words (Qin, Eisner 2021, section
3.2: soft prompts that start from hard ones).
"""

from dataclasses import dataclass

from promptgraft.errors import ConfigError
from promptgraft.models import FrozenModel
from promptgraft.models.template import Decoder, Mask, Start, Target, Text, Virtual, parse

FIELDS = {Mask: "{mask}", Target: "{target}", Start: "{start}"}


@dataclass(frozen=True)
class Wording:
    """A worded template, and what its words become.

    template  the same with a slot in the place of each run of words
    tokens    [P] ids of the words, in order
    """

    template: str
    tokens: tuple[int, ...]


def as_slots(model: FrozenModel, worded: str) -> Wording:
    """Slots for the words of a template such as "{text} It was {mask} .".

    Raises ConfigError for a template without words, or with what only prompts have.
    """
    parts: list[str] = []
    tokens: list[int] = []
    begun = False  # does anything stand before? A text's first word may have tokens of its own
    for piece in parse(worded).pieces:
        if isinstance(piece, Virtual | Decoder):
            raise ConfigError(
                f"The wording {worded!r} has {{prompt}} or {{decoder}}; write it in words alone."
            )
        if not isinstance(piece, Text):
            parts.append(FIELDS[type(piece)])
            begun = isinstance(piece, Mask)
            continue
        for literal, field in piece.parts:
            if words := literal.strip():
                spaced = begun and literal.startswith(" ")
                ids = model.encoder.word(words) if spaced else model.encoder.tokenize([words])[0]
                parts.append(literal.replace(words, f"{{prompt:{len(ids)}}}"))
                tokens += ids
            else:
                parts.append(literal)
            if field is not None:
                parts.append(f"{{{field}}}")
            begun = begun or bool(words or field)
    if not tokens:
        raise ConfigError(f"The wording {worded!r} has no words to start from.")
    return Wording("".join(parts), tuple(tokens))
