"""Where prompts enter a model: what is attached now, and what is being recorded."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass
class SitePrefix:
    """What one attention site of a batch sees before its own keys and values.

    tensor   [B or 1, L, 2, P, H_kv, d_head]
    visible  [B, P] or, where it depends on who looks, [B, T, P] bool; None where all is visible
    """

    tensor: Tensor
    visible: Tensor | None = None

    def seen_from(self, starts: Tensor, width: int) -> "SitePrefix":
        """The same prefix, seen only from token `starts[b]` on by the `width` tokens of row b."""
        after = torch.arange(width, device=starts.device) >= starts[:, None]  # [B, T]
        columns = self.visible
        if columns is None:
            columns = torch.ones(1, self.tensor.shape[3], dtype=torch.bool, device=starts.device)
        return SitePrefix(self.tensor, after[:, :, None] & columns[:, None])

    def of_row(self, row: int, token: int) -> Tensor:
        """What one token of a row sees of it: [L, 2, P, H_kv, d_head]."""
        tensor = self.tensor[row if len(self.tensor) > 1 else 0]
        if self.visible is None:
            return tensor
        columns = self.visible[row if len(self.visible) > 1 else 0]
        return tensor[:, :, columns if columns.ndim == 1 else columns[token]]


@dataclass
class Port:
    """The prompts of the batch that a model runs at the moment; empty between batches.

    vectors  [B or 1, P, D], for the virtual tokens in the input ids
    changes  [B, T, D], added to what the next look-up of embeddings gives, which takes them away
    sites    prefixes, by attention site
    """

    vectors: Tensor | None = None
    changes: Tensor | None = None
    sites: Mapping[str, SitePrefix] = field(default_factory=dict)
    recorded: dict[str, list[tuple[Tensor, Tensor]]] | None = None
    calls: dict[str, int] = field(default_factory=dict)  # attention calls so far, by site
    memo: dict[str, tuple[Tensor | None, tuple[int, int, int], Tensor | None]] = field(
        default_factory=dict
    )  # by site: the mask of the text, its sizes, and the mask with the prefix before it
    checkpointing: bool = False  # see models/checkpointing.py

    @contextmanager
    def attached(
        self,
        vectors: Tensor | None = None,
        sites: Mapping[str, SitePrefix] | None = None,
        changes: Tensor | None = None,
    ) -> Iterator[None]:
        """Attach prompts for the length of the block."""
        self.vectors, self.sites, self.changes = vectors, sites or {}, changes
        try:
            yield
        finally:
            self.vectors, self.sites, self.calls, self.memo = None, {}, {}, {}
            self.changes = None

    @contextmanager
    def as_it_was(self, then: "Port") -> Iterator[None]:
        """Hold what another port holds, for the length of the block."""
        now = dict(vars(self))
        vars(self).update(vars(then))
        try:
            yield
        finally:
            vars(self).update(now)

    @contextmanager
    def recording(self) -> Iterator[dict[str, list[tuple[Tensor, Tensor]]]]:
        """Collect (keys, values), each [B, H_kv, T, d_head], by site, layer for layer."""
        self.recorded = {}
        try:
            yield self.recorded
        finally:
            self.recorded = None


def rows(tensor: Tensor, batch: int) -> Tensor:
    """Give each row of the batch its own: one for all, one a row, or one for the beams of a row."""
    if tensor.shape[0] == batch:
        return tensor
    if tensor.shape[0] == 1:
        return tensor.expand(batch, *tensor.shape[1:])
    return tensor.repeat_interleave(batch // tensor.shape[0], dim=0)
