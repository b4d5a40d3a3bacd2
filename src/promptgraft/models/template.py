"""Templates: where text, virtual tokens, the mask and the target stand in an input.

A template is a string with fields in braces. A field is a key of the row, or one of

    {prompt}     all virtual tokens, or those that numbered slots leave over
    {prompt:5}   five virtual tokens; several slots are filled in order
    {mask}       the mask token (masked models)
    {target}     what is to be written (causal, seq2seq); at the end if not named
    {decoder}    in a seq2seq template: what follows belongs to the decoder
"""

import string
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from promptgraft.errors import ConfigError, DataError


@dataclass(frozen=True)
class Text:
    """Literal text and fields of the row, tokenised as one string."""

    parts: tuple[tuple[str, str | None], ...]  # (literal, field that follows it or None)

    def render(self, row: Mapping[str, Any]) -> tuple[str, list[tuple[int, int]]]:
        """The string, and the spans of it that come from the row."""
        text, spans = "", []
        for literal, field in self.parts:
            text += literal
            if field is not None:
                if field not in row:
                    raise DataError(
                        f"The template needs the field {field!r}; the row has "
                        f"{', '.join(map(repr, row)) or 'none'}."
                    )
                spans.append((len(text), len(text) + len(str(row[field]))))
                text += str(row[field])
        return text, spans


@dataclass(frozen=True)
class Virtual:
    """A slot of virtual tokens; count None takes what the numbered slots leave."""

    count: int | None


class Mask:
    """The mask token."""


class Target:
    """The text to be predicted."""


class Decoder:
    """The border between encoder and decoder."""


Piece = Text | Virtual | Mask | Target | Decoder


@dataclass(frozen=True)
class Template:
    """A parsed template."""

    source: str
    pieces: tuple[Piece, ...]

    @property
    def has_virtual(self) -> bool:
        return any(isinstance(piece, Virtual) for piece in self.pieces)

    def slots(self, length: int) -> list[int]:
        """Virtual tokens per slot, in order, for a prompt of `length` tokens.

        Raises ConfigError if the slots do not add up to the prompt.
        """
        counts = [piece.count for piece in self.pieces if isinstance(piece, Virtual)]
        fixed = sum(count for count in counts if count is not None)
        rest = length - fixed
        if not counts or rest < 0 or (rest > 0 and None not in counts):
            raise ConfigError(
                f"The template {self.source!r} holds {fixed} virtual tokens, the prompt has "
                f"{length}. Write {{prompt}} without a number for a slot that takes them all."
            )
        return [rest if count is None else count for count in counts]


@lru_cache(maxsize=256)
def parse(source: str) -> Template:
    """Parse a template string.

    Raises ConfigError for unbalanced braces, nameless fields and slots that cannot be.
    """
    pieces: list[Piece] = []
    parts: list[tuple[str, str | None]] = []

    def close_text() -> None:
        if parts:
            pieces.append(Text(tuple(parts)))
            parts.clear()

    try:
        fields = list(string.Formatter().parse(source))
    except ValueError as error:
        raise ConfigError(f"The template {source!r} is malformed: {error}.") from None
    for literal, field, detail, _ in fields:
        special: Piece | None = None
        if field == "prompt":
            if detail and (not detail.isdecimal() or int(detail) == 0):
                raise ConfigError(
                    f"{{prompt:{detail}}} in the template {source!r} must give a number of virtual "
                    "tokens, such as {prompt:5}."
                )
            special = Virtual(int(detail) if detail else None)
        elif field == "mask":
            special = Mask()
        elif field == "target":
            special = Target()
        elif field == "decoder":
            special = Decoder()
        elif field == "":
            raise ConfigError(f"The template {source!r} has {{}} without a name in it.")
        if special is None:
            if literal or field is not None:
                parts.append((literal, field))
        else:
            if literal:
                parts.append((literal, None))
            close_text()
            pieces.append(special)
    close_text()
    for kind in (Mask, Target, Decoder):
        if sum(isinstance(piece, kind) for piece in pieces) > 1:
            raise ConfigError(f"The template {source!r} names {{{kind.__name__.lower()}}} twice.")
    if sum(isinstance(piece, Virtual) and piece.count is None for piece in pieces) > 1:
        raise ConfigError(
            f"The template {source!r} has two slots without a number; give all but one a number, "
            "such as {prompt:5}."
        )
    return Template(source, tuple(pieces))
