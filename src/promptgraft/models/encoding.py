"""Rows to tensors: templates rendered to tokens, cut to length, batched.

Virtual tokens travel inside the token sequences as negative ids: -1 is the first vector of the
prompt, -2 the second. Labels stand where a token is predicted *from*, so causal, seq2seq and
masked models are read out alike.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from promptgraft.errors import ConfigError, DataError
from promptgraft.models.geometry import Family
from promptgraft.models.template import Decoder, Mask, Target, Template, Text, Virtual

IGNORED = -100  # the label of a token from which nothing is predicted


@dataclass
class Encoded:
    """One row as token ids; lists of equal length where they belong together."""

    tokens: list[int] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)  # causal and masked: along `tokens`
    head: int = 0  # tokens at the start that all rows of the template share, the prompt among them
    decoder_tokens: list[int] = field(default_factory=list)
    decoder_labels: list[int] = field(default_factory=list)
    cut: int = 0  # tokens of the source that did not fit

    def __len__(self) -> int:
        return len(self.tokens)


@dataclass(frozen=True)
class Batch:
    """Encoded rows as tensors.

    tokens          [B, T]  ids; negative: virtual tokens
    mask            [B, T]  bool, False at padding
    labels          [B, T] (seq2seq [B, U])  ids, IGNORED where nothing is predicted
    decoder_tokens  [B, U]  seq2seq only
    decoder_mask    [B, U]  seq2seq only
    heads           distinct shared beginnings [T_head], taken off `tokens` (causal only)
    head_of         [B]     which head each row has
    cut             tokens of the sources that did not fit
    """

    tokens: Tensor
    mask: Tensor
    labels: Tensor
    decoder_tokens: Tensor | None = None
    decoder_mask: Tensor | None = None
    heads: tuple[Tensor, ...] = ()
    head_of: Tensor | None = None
    cut: int = 0

    def __len__(self) -> int:
        return len(self.tokens)

    def to(self, device: torch.device) -> "Batch":
        """The same batch on another device."""
        moved: dict[str, Any] = {
            name: value.to(device) if isinstance(value, Tensor) else value
            for name, value in vars(self).items()
        }
        moved["heads"] = tuple(head.to(device) for head in self.heads)
        return Batch(**moved)


class Encoder:
    """Renders rows through templates for one tokenizer and family."""

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        family: Family,
        decoder_start: int | None,
        eos: int | None,
        pad: int,
        max_length: int,
    ) -> None:
        self.tokenizer, self.family, self.max_length = tokenizer, family, max_length
        self.decoder_start, self.eos, self.pad = decoder_start, eos, pad
        ids = tokenizer("a")["input_ids"]
        bare = tokenizer("a", add_special_tokens=False)["input_ids"]
        start = next(i for i in range(len(ids)) if ids[i : i + len(bare)] == bare)
        self.first, self.last = ids[:start], ids[start + len(bare) :]  # [CLS] and [SEP], say
        # SentencePiece and WordPiece need no blank before a word to know that it begins one.
        self.blank_counts = tokenizer(" a", add_special_tokens=False)["input_ids"] != bare

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids without special tokens."""
        if not texts:
            return []
        ids: list[list[int]] = self.tokenizer(list(texts), add_special_tokens=False, verbose=False)[
            "input_ids"
        ]
        return ids

    def word(self, text: str) -> list[int]:
        """Token ids of a word in the middle of a sentence."""
        return self.tokenize([f" {text}" if self.blank_counts else text])[0]

    def encode(
        self,
        rows: Sequence[Mapping[str, Any]],
        template: Template,
        length: int = 0,
        answers: Sequence[str] | None = None,
        stop: bool = True,
        reserve: int = 0,
    ) -> list[Encoded]:
        """Render rows.

        length   virtual tokens of the prompt; 0 (a prefix, or no prompt) empties all slots
        answers  one text a row, at {mask} or {target}; None to predict
        stop     end the target with the end-of-sequence token
        reserve  positions to leave free, for a prefix (causal)

        Raises DataError for a missing field and for rows that cannot be made short enough,
        ConfigError for a template that does not suit the family.
        """
        self._check(template)
        slots = iter(template.slots(length)) if length else None
        counts = [
            next(slots) if isinstance(piece, Virtual) and slots is not None else 0
            for piece in template.pieces
        ]
        strings, spans = self._strings(rows, template)
        ids = iter(self.tokenize(strings))
        targets = self._targets(template, answers, stop)
        encoded = []
        for index in range(len(rows)):
            parts = [next(ids) if isinstance(p, Text) else [] for p in template.pieces]
            target = targets[index] if targets is not None else []
            texts = [p for p, piece in enumerate(template.pieces) if isinstance(piece, Text)]
            over = self._over(template, parts, counts, target, reserve)
            cut = 0
            if over > 0:
                offset = index * len(texts)
                cut = self._cut(parts, texts, strings[offset:], spans[offset:], over)
            row = self._assemble(template, parts, counts, target)
            row.cut = cut
            encoded.append(row)
        return encoded

    def _check(self, template: Template) -> None:
        masks = sum(isinstance(piece, Mask) for piece in template.pieces)
        if self.family == "masked" and masks == 0:
            raise ConfigError(f"The template {template.source!r} needs a {{mask}} for this model.")
        if self.family != "masked" and masks:
            raise ConfigError(
                f"The template {template.source!r} has a {{mask}}; a {self.family} model has none."
            )
        if self.family != "seq2seq" and any(isinstance(p, Decoder) for p in template.pieces):
            raise ConfigError(f"{{decoder}} in {template.source!r} is for seq2seq models only.")

    def _strings(
        self, rows: Sequence[Mapping[str, Any]], template: Template
    ) -> tuple[list[str], list[list[tuple[int, int]]]]:
        """The text pieces of all rows, blanks between pieces where the tokenizer wants them."""
        strings, spans = [], []
        for number, row in enumerate(rows):
            blank = False  # did the piece before end in a blank?
            for place, piece in enumerate(template.pieces):
                if not isinstance(piece, Text):
                    continue
                try:
                    text, fields = piece.render(row)
                except DataError as error:
                    raise DataError(f"Row {number}: {error}") from None
                stripped = text.lstrip()
                start = len(text) - len(stripped)
                lead = " " if self.blank_counts and place > 0 and (start or blank) else ""
                blank = text != text.rstrip()
                shift = len(lead) - start
                strings.append(lead + stripped.rstrip())
                spans.append([(a + shift, b + shift) for a, b in fields])
        return strings, spans

    def _targets(
        self, template: Template, answers: Sequence[str] | None, stop: bool
    ) -> list[list[int]] | None:
        if answers is None:
            return None
        if self.family == "masked":
            ids = [self.word(answer) for answer in answers]
            for answer, tokens in zip(answers, ids, strict=True):
                if len(tokens) != 1:
                    shown = " ".join(self.tokenizer.convert_ids_to_tokens(tokens))
                    raise DataError(
                        f"The answer {answer!r} is {len(tokens)} tokens ({shown}), a mask "
                        "holds one. Choose another word for this label in the verbalizer."
                    )
            return ids
        if self.family == "seq2seq":
            last = self.last if stop else []
            return [[*self.first, *ids, *last] for ids in self.tokenize(answers)]
        blank = self.blank_counts and self._blank_before_target(template)
        ids = self.tokenize([f" {answer}" if blank else answer for answer in answers])
        return [[*tokens, self.eos] if stop and self.eos is not None else tokens for tokens in ids]

    def _blank_before_target(self, template: Template) -> bool:
        before: Any = None
        for piece in template.pieces:
            if isinstance(piece, Target):
                break
            before = piece
        if isinstance(before, Text):
            return (
                before.parts[-1][1] is not None
                or before.parts[-1][0][-1:].isspace()
                or (not any(isinstance(piece, Target) for piece in template.pieces))
            )
        return before is not None

    def _over(
        self,
        template: Template,
        parts: list[list[int]],
        counts: list[int],
        target: list[int],
        reserve: int,
    ) -> int:
        """Tokens by which the row is too long."""
        size = sum(map(len, parts)) + sum(counts) + len(self.first) + len(self.last)
        if self.family == "causal":
            size += len(target) + reserve
        if self.family == "masked":
            size += 1
        return size - self.max_length

    def _cut(
        self,
        parts: list[list[int]],
        texts: list[int],
        strings: Sequence[str],
        spans: Sequence[list[tuple[int, int]]],
        over: int,
    ) -> int:
        """Take `over` tokens from the ends of the row's own fields, the longest piece first."""
        left = over
        for rank in sorted(range(len(texts)), key=lambda rank: -len(parts[texts[rank]])):
            offsets = self.tokenizer(
                strings[rank], add_special_tokens=False, return_offsets_mapping=True, verbose=False
            )["offset_mapping"]
            own = [
                position
                for position, (a, b) in enumerate(offsets)
                if any(a < end and b > start for start, end in spans[rank])
            ]
            drop = set(own[max(0, len(own) - left) :])
            ids = parts[texts[rank]]
            parts[texts[rank]] = [token for i, token in enumerate(ids) if i not in drop]
            left -= len(drop)
            if left == 0:
                return over
        raise DataError(
            f"A row is {left} tokens too long for {self.max_length} positions even without its "
            "source: the prompt, the template and the target alone do not fit. "
            "Use a shorter prompt or template."
        )

    def _assemble(
        self,
        template: Template,
        parts: list[list[int]],
        counts: list[int],
        target: list[int],
    ) -> Encoded:
        row = Encoded(tokens=list(self.first))
        tokens, slot, common, placed = row.tokens, 0, True, False
        labels = {}  # position -> label
        for piece, ids, count in zip(template.pieces, parts, counts, strict=True):
            if isinstance(piece, Virtual):
                tokens.extend(range(-1 - slot, -1 - slot - count, -1))
                slot += count
                if common and tokens is row.tokens:
                    row.head = len(tokens)
            elif isinstance(piece, Mask):
                labels[len(tokens)] = target[0] if target else self.pad  # asked, if not known
                tokens.append(self.tokenizer.mask_token_id)
                common = False
            elif isinstance(piece, Decoder):
                tokens.extend(self.last)
                tokens = row.decoder_tokens
                tokens.append(self._decoder_start())
            elif isinstance(piece, Target):
                placed = True
                if self.family == "seq2seq":
                    tokens = self._begin_decoder(row, tokens)
                    row.decoder_labels = [IGNORED] * (len(tokens) - 1) + target
                    tokens.extend(target[:-1])
                else:
                    labels |= {len(tokens) - 1 + i: token for i, token in enumerate(target)}
                    tokens.extend(target)
                common = False
            else:
                tokens.extend(ids)
                common = common and all(name is None for _, name in piece.parts)
        if not placed and self.family == "seq2seq":
            tokens = self._begin_decoder(row, tokens)
            row.decoder_labels = [IGNORED] * (len(tokens) - 1) + (target or [IGNORED])
            tokens.extend(target[:-1])
        elif not placed and self.family == "causal":
            labels |= {len(tokens) - 1 + i: token for i, token in enumerate(target)}
            tokens.extend(target)
        elif self.family == "masked":
            tokens.extend(self.last)
        row.labels = [IGNORED] * len(row.tokens)
        for position, label in labels.items():
            row.labels[position] = label
        # The head is worth a pass of its own if it holds every virtual token and predicts nothing.
        head, body = row.tokens[: row.head], row.tokens[row.head :]
        whole = min(head, default=0) < 0 and min(body, default=-1) >= 0
        predicts = any(label != IGNORED for label in row.labels[: row.head])
        if self.family != "causal" or not whole or predicts:
            row.head = 0
        return row

    def _begin_decoder(self, row: Encoded, tokens: list[int]) -> list[int]:
        """Close the encoder's side if the template did not."""
        if tokens is row.tokens:
            tokens.extend(self.last)
            row.decoder_tokens.append(self._decoder_start())
        return row.decoder_tokens

    def _decoder_start(self) -> int:
        if self.decoder_start is None:
            raise ConfigError("The model's configuration names no decoder_start_token_id.")
        return self.decoder_start

    def collate(
        self, rows: Sequence[Encoded], split: bool = True, side: Literal["left", "right"] = "right"
    ) -> Batch:
        """Pad rows to one batch.

        split  take the shared heads off, for a pass of their own (causal)
        side   where the padding goes
        """
        heads = sorted({tuple(r.tokens[: r.head]) for r in rows}) if split else [()]
        take = [row.head if split and heads != [()] else 0 for row in rows]
        tokens = [row.tokens[n:] for row, n in zip(rows, take, strict=True)]
        labels = [row.labels[n:] for row, n in zip(rows, take, strict=True)]
        padded = _pad(tokens, self.pad, side)
        batch: dict[str, Any] = {
            "tokens": padded,
            "mask": _pad([[1] * len(ids) for ids in tokens], 0, side).bool(),
            "labels": _pad(labels, IGNORED, side),
            "cut": sum(row.cut for row in rows),
        }
        if self.family == "seq2seq":
            decoder = [row.decoder_tokens for row in rows]
            batch["decoder_tokens"] = _pad(decoder, self.pad, side)
            batch["decoder_mask"] = _pad([[1] * len(ids) for ids in decoder], 0, side).bool()
            batch["labels"] = _pad([row.decoder_labels for row in rows], IGNORED, side)
        if heads != [()]:
            place = {head: i for i, head in enumerate(heads)}
            batch["heads"] = tuple(torch.tensor(head, dtype=torch.long) for head in heads)
            batch["head_of"] = torch.tensor([place[tuple(r.tokens[: r.head])] for r in rows])
        return Batch(**batch)


def _pad(rows: Sequence[Sequence[int]], value: int, side: str) -> Tensor:
    width = max(map(len, rows))
    fill = [[value] * (width - len(row)) for row in rows]
    if side == "left":
        return torch.tensor([[*f, *row] for f, row in zip(fill, rows, strict=True)])
    return torch.tensor([[*row, *f] for f, row in zip(fill, rows, strict=True)])
