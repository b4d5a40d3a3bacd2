"""Encoded rows, and their batch as tensors.

Virtual tokens travel inside the token sequences as negative ids: -1 is the first vector of the
prompt, -2 the second. Labels stand where a token is predicted *from*, so causal, seq2seq and
masked models are read out alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

IGNORED = -100  # the label of a token from which nothing is predicted

Side = Literal["left", "right"]


@dataclass
class Encoded:
    """One row as token ids; lists of equal length where they belong together."""

    tokens: list[int] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)  # causal and masked: along `tokens`
    decoder_tokens: list[int] = field(default_factory=list)
    decoder_labels: list[int] = field(default_factory=list)
    head: int = 0  # tokens at the start that all rows of the template share, the prompt among them
    prefix_at: int = 0  # the first token that sees the prefix (causal)
    virtual: int = 0  # length of the soft prompt that the row was encoded for
    cut: int = 0  # tokens of the row's fields that did not fit
    task: int = 0  # of several tasks, or models, that are tuned together: which one the row is for

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
    head_of         which head each of the B rows has; empty if none was taken off
    prefix_at       [B]     the first column that sees a prefix; None: all do
    virtual         length of the longest soft prompt that the rows were encoded for
    cut             tokens of the rows' fields that did not fit
    tasks           which task each of the B rows belongs to, where several are tuned together
    """

    tokens: Tensor
    mask: Tensor
    labels: Tensor
    decoder_tokens: Tensor | None = None
    decoder_mask: Tensor | None = None
    heads: tuple[Tensor, ...] = ()
    head_of: tuple[int, ...] = ()
    prefix_at: Tensor | None = None
    virtual: int = 0
    cut: int = 0
    tasks: tuple[int, ...] = ()

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

    def only(self, rows: Sequence[int]) -> "Batch":
        """Some of the rows, padded as they are."""
        taken: dict[str, Any] = {
            name: value[list(rows)] if isinstance(value, Tensor) else value
            for name, value in vars(self).items()
        }
        for name in ("head_of", "tasks"):
            taken[name] = tuple(taken[name][row] for row in rows if taken[name])
        return Batch(**taken)


def text_of(batch: Batch, causal: bool) -> Tensor:
    """Which tokens are the text that a prompt may change: [B, T] bool.

    Those behind the row's last virtual token, or from where a prefix is seen on. In a causal model,
    which reads input and answer as one, up to the token that the answer is first predicted from:
    so an input is the same text in training, scoring and generation.
    """
    virtual = batch.tokens < 0
    text = batch.mask & (virtual.flip(1).cumsum(1).flip(1) == 0)
    if batch.prefix_at is not None:
        text &= torch.arange(text.shape[1], device=text.device) >= batch.prefix_at[:, None]
    if causal:
        asked = (batch.labels != IGNORED).long()
        text &= asked.cumsum(1) - asked == 0
    return text


def collate(rows: Sequence[Encoded], pad: int, split: bool = True, side: Side = "right") -> Batch:
    """Pad rows to one batch.

    pad    the id at padding
    split  take the shared heads off, for a pass of their own
    side   where the padding goes; an encoder's is always on the right, where it counts positions
    """
    take = [row.head if split else 0 for row in rows]
    tokens = [row.tokens[n:] for row, n in zip(rows, take, strict=True)]
    labels = [row.labels[n:] for row, n in zip(rows, take, strict=True)]
    batch: dict[str, Any] = {}
    seq2seq = bool(rows[0].decoder_tokens)
    own: Side = "right" if seq2seq else side
    batch["tokens"], batch["mask"] = _pad(tokens, pad, own), _mask(tokens, own)
    if seq2seq:
        decoder = [row.decoder_tokens for row in rows]
        labels = [row.decoder_labels for row in rows]
        batch["decoder_tokens"] = _pad(decoder, pad, side)
        batch["decoder_mask"] = _mask(decoder, side)
    batch["labels"] = _pad(labels, IGNORED, side)
    if any(take):
        heads = [tuple(row.tokens[:n]) for row, n in zip(rows, take, strict=True)]
        place = {head: number for number, head in enumerate(dict.fromkeys(heads))}
        batch["heads"] = tuple(torch.tensor(head, dtype=torch.long) for head in place)
        batch["head_of"] = tuple(place[head] for head in heads)
    if any(row.prefix_at for row in rows):
        width = batch["tokens"].shape[1]
        shifts = [width - len(ids) if side == "left" else 0 for ids in tokens]
        starts = [at and at + n for at, n in zip((r.prefix_at for r in rows), shifts, strict=True)]
        batch["prefix_at"] = torch.tensor(starts)
    return Batch(
        **batch,
        virtual=max(row.virtual for row in rows),
        cut=sum(row.cut for row in rows),
        tasks=tuple(row.task for row in rows),
    )


def _pad(rows: Sequence[Sequence[int]], value: int, side: Side) -> Tensor:
    """Rows of different lengths as one tensor [B, longest]."""
    width = max(map(len, rows))
    fill = ([value] * (width - len(row)) for row in rows)
    pairs = zip(fill, rows, strict=True)
    if side == "left":
        return torch.tensor([[*some, *row] for some, row in pairs], dtype=torch.long)
    return torch.tensor([[*row, *some] for some, row in pairs], dtype=torch.long)


def _mask(rows: Sequence[Sequence[int]], side: Side) -> Tensor:
    """Where `_pad` puts tokens: [B, longest] bool."""
    lengths = torch.tensor([len(row) for row in rows])[:, None]
    places = torch.arange(int(lengths.max()))[None]
    return places >= lengths.max() - lengths if side == "left" else places < lengths
