"""Templates: where text, virtual tokens, the mask and the target stand in an input.

A template is a string with fields in braces. A field is a key of the row, or one of

    {prompt}     all virtual tokens, or those that numbered slots leave over
    {prompt:5}   five virtual tokens; several slots are filled in order
    {start}      the tokenizer's own first tokens, such as [CLS]; at the front if not named
    {mask}       the mask token (masked models)
    {target}     what is to be written (causal, seq2seq); at the end if not named
    {decoder}    in a seq2seq template: what follows belongs to the decoder

A prefix has no virtual tokens to put into slots. In a causal model it stands before the keys and
values of what follows the first slot, whatever the slot's number; elsewhere all tokens see it.
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

    @property
    def is_literal(self) -> bool:
        """Whether every row has the same text here."""
        return all(field is None for _, field in self.parts)

    @property
    def is_blank(self) -> bool:
        return self.is_literal and not "".join(literal for literal, _ in self.parts).strip()

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
                if row[field] is None:
                    raise DataError(f"The field {field!r}, which the template needs, is None.")
                spans.append((len(text), len(text) + len(str(row[field]))))
                text += str(row[field])
        return text, spans


@dataclass(frozen=True)
class Virtual:
    """A slot of virtual tokens; count None takes what the numbered slots leave."""

    count: int | None


@dataclass(frozen=True)
class Start:
    """The tokens that the tokenizer puts before every text."""


@dataclass(frozen=True)
class Mask:
    """The mask token."""


@dataclass(frozen=True)
class Target:
    """The text to be predicted."""


@dataclass(frozen=True)
class Decoder:
    """The border between encoder and decoder."""


Piece = Text | Virtual | Start | Mask | Target | Decoder


SPECIAL: dict[str, Piece] = {
    "start": Start(),
    "mask": Mask(),
    "target": Target(),
    "decoder": Decoder(),
}


@dataclass(frozen=True)
class Template:
    """A parsed template."""

    source: str
    pieces: tuple[Piece, ...]

    @property
    def has_virtual(self) -> bool:
        return any(isinstance(piece, Virtual) for piece in self.pieces)

    @property
    def fields(self) -> tuple[str, ...]:
        """The row's fields that stand in it, in their order."""
        texts = (piece for piece in self.pieces if isinstance(piece, Text))
        return tuple(dict.fromkeys(name for text in texts for _, name in text.parts if name))

    def row(self, given: str | Mapping[str, Any]) -> Mapping[str, Any]:
        """A row to be rendered; a text is what the template's only field reads.

        Raises DataError for a text where the template reads several fields.
        """
        if not isinstance(given, str):
            return given
        if len(self.fields) > 1:
            raise DataError(
                f"The template reads {len(self.fields)} fields ({', '.join(self.fields)}); give a "
                "row that has them, not a text alone."
            )
        return dict.fromkeys(self.fields, given)

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
    for literal, field, detail, conversion in fields:
        if literal:
            parts.append((literal, None))
        if field is None:
            continue
        special = _special(source, field, detail or "")
        if conversion or (detail and not isinstance(special, Virtual)):
            written = f"{field}!{conversion}" if conversion else f"{field}:{detail}"
            raise ConfigError(
                f"The template {source!r} has {{{written}}}; only {{prompt:5}} takes a number, "
                f"write {{{field}}}."
            )
        if special is not None:
            close_text()
            pieces.append(special)
        elif parts and parts[-1][1] is None:
            parts[-1] = (parts[-1][0], field)
        else:
            parts.append(("", field))
    close_text()
    _check(source, pieces)
    return Template(source, tuple(pieces))


def _special(source: str, field: str, detail: str) -> Piece | None:
    """The piece that a field stands for; None for a field of the row."""
    if field == "prompt":
        if detail and (not detail.isdecimal() or int(detail) == 0):
            raise ConfigError(
                f"{{prompt:{detail}}} in the template {source!r} must give a number of virtual "
                "tokens, such as {prompt:5}."
            )
        return Virtual(int(detail) if detail else None)
    if field == "":
        raise ConfigError(f"The template {source!r} has {{}} without a name in it.")
    return SPECIAL.get(field)


def _check(source: str, pieces: list[Piece]) -> None:
    for kind in (Start, Mask, Target, Decoder):
        if sum(isinstance(piece, kind) for piece in pieces) > 1:
            raise ConfigError(f"The template {source!r} names {{{kind.__name__.lower()}}} twice.")
    border = next((n for n, piece in enumerate(pieces) if isinstance(piece, Decoder)), len(pieces))
    if any(isinstance(piece, Start) for piece in pieces[border:]):
        raise ConfigError(f"The template {source!r} has {{start}} behind {{decoder}}.")
    if sum(isinstance(piece, Virtual) and piece.count is None for piece in pieces) > 1:
        raise ConfigError(
            f"The template {source!r} has two slots without a number; give all but one a number, "
            "such as {prompt:5}."
        )
    end = next((n for n, piece in enumerate(pieces) if isinstance(piece, Target)), len(pieces))
    if any(not (isinstance(piece, Text) and piece.is_blank) for piece in pieces[end + 1 :]):
        raise ConfigError(
            f"The template {source!r} goes on after {{target}}; a model that writes from left to "
            "right never sees that. End it with {target}."
        )
