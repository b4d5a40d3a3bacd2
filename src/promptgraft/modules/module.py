"""Prompt modules: what emits prompt tensors while they are tuned."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from promptgraft.models import Batch, PromptTensors
from promptgraft.models.gather import sites_of
from promptgraft.modules.layout import Layout
from promptgraft.modules.registry import Registry
from promptgraft.prompts import Prefix, Prompt, PromptCard, SoftPrompt


class PromptModule(nn.Module, ABC):
    """Emits a prompt, unbatched; a module that adapts to the input emits one per row.

    Every parameter is float32 and trainable.

    rates  learning rates of their own, by the beginning of the parameters' names
    """

    rates: Mapping[str, float] = {}

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.layout = layout

    @abstractmethod
    def forward(self, batch: Batch | None = None) -> PromptTensors | Sequence[PromptTensors]:
        """Prompt tensors: "input" [P, D], or [L, 2, P, H_kv, d_head] by attention site.

        For a batch perhaps with a leading B, or one for each of its rows.
        """

    @torch.no_grad()
    def freeze(self, card: PromptCard) -> Prompt:
        """The prompt as a value; what made it (an MLP, say) is dropped."""
        return value_of(self(), card)

    def trainable(self) -> int:
        """Number of trainable parameters."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad)


def value_of(tensors: PromptTensors, card: PromptCard) -> Prompt:
    """Unbatched prompt tensors as a value; a change of the text's embeddings is no part of it."""
    if card.kind == "soft-prompt":
        return SoftPrompt(tensors["input"], card)
    return Prefix(sites_of(tensors), card)


Start = dict[str, Tensor] | None
"""What an initialiser gives: tables [P, width] by "input" or site, or None for the module's own."""

MODULES: Registry[Callable[..., PromptModule]] = Registry("module")


def build(name: str, layout: Layout, start: Start, **settings: Any) -> PromptModule:
    """A module by name ("direct", "mlp", "linear", "lstm"), starting from `start`."""
    return MODULES[name](layout, start, **settings)
