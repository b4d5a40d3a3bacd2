"""The shape of the prompt that a module emits, and the flat tables it is emitted from."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from promptgraft.errors import ConfigError
from promptgraft.models import FrozenModel, PromptTensors
from promptgraft.prompts.card import Kind


@dataclass(frozen=True)
class Layout:
    """A prompt of `length` virtual tokens for one model.

    sites  for a prefix (L, H_kv, d_head) by attention site; empty for a soft prompt
    """

    kind: Kind
    length: int
    embedding_size: int
    sites: Mapping[str, tuple[int, int, int]]

    def widths(self) -> dict[str, int]:
        """Numbers per virtual token: D for "input", 2 · L · H_kv · d_head for a site."""
        if self.kind == "soft-prompt":
            return {"input": self.embedding_size}
        return {
            site: 2 * layers * heads * size for site, (layers, heads, size) in self.sites.items()
        }

    def numbers(self) -> int:
        """Numbers of the whole prompt: what is stored once the network that emits it is dropped."""
        return self.length * sum(self.widths().values())

    def blank(self) -> PromptTensors:
        """A prompt of zeros, to render rows for."""
        return self.shape({n: torch.zeros(self.length, w) for n, w in self.widths().items()})

    def shape(self, tables: Mapping[str, Tensor]) -> PromptTensors:
        """Tables [P, width] to prompt tensors: [P, D], or [L, 2, P, H_kv, d_head] by site.

        Dimensions before P, of a table for each row, say, stay in front.
        """
        if self.kind == "soft-prompt":
            return dict(tables)
        shaped = {}
        for site, table in tables.items():
            layers, heads, size = self.sites[site]
            parts = table.reshape(*table.shape[:-1], layers, 2, heads, size)
            shaped[site] = parts.movedim(-5, -3)
        return shaped

    def flatten(self, tensors: PromptTensors) -> dict[str, Tensor]:
        """The inverse of `shape`."""
        if self.kind == "soft-prompt":
            return dict(tensors)
        return {site: t.movedim(-3, -5).flatten(-4) for site, t in tensors.items()}


def layout(
    kind: Kind, length: int, model: FrozenModel, sites: tuple[str, ...] | None = None
) -> Layout:
    """The layout of a prompt for a model.

    sites  attention sites of a prefix; default all that the model has

    Raises ConfigError for a length below one or a site that the model does not have.
    """
    if length < 1:
        raise ConfigError(f"A prompt needs at least one virtual token, got length {length}.")
    if kind == "soft-prompt":
        return Layout(kind, length, model.embedding_size, {})
    known = model.geometry.sites
    for site in sites or ():
        if site not in known:
            raise ConfigError(
                f"{model.name} has the attention sites {', '.join(known)}, not {site!r}."
            )
    chosen = {site: known[site] for site in sites or known}
    return Layout(kind, length, model.embedding_size, chosen)
