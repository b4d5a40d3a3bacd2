"""Where prompts enter a model: what is attached now, and what is being recorded."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from torch import Tensor


@dataclass
class SitePrefix:
    """What one attention site of a batch sees before its own keys and values.

    tensor   [B or 1, L, 2, P, H_kv, d_head]
    visible  [B, P] bool, or None where all is visible
    """

    tensor: Tensor
    visible: Tensor | None = None


@dataclass
class Port:
    """The prompts of the batch that a model runs at the moment; empty between batches.

    vectors  [B or 1, P, D], for the virtual tokens in the input ids
    sites    prefixes, by attention site
    """

    vectors: Tensor | None = None
    sites: Mapping[str, SitePrefix] = field(default_factory=dict)
    recorded: dict[str, list[tuple[Tensor, Tensor]]] | None = None
    calls: dict[str, int] = field(default_factory=dict)  # attention calls so far, by site
    memo: tuple[SitePrefix, Tensor | None, tuple[int, int, int], Tensor | None] | None = None

    @contextmanager
    def attached(
        self, vectors: Tensor | None = None, sites: Mapping[str, SitePrefix] | None = None
    ) -> Iterator[None]:
        """Attach prompts for the length of the block."""
        self.vectors, self.sites = vectors, sites or {}
        try:
            yield
        finally:
            self.vectors, self.sites, self.calls, self.memo = None, {}, {}, None

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
