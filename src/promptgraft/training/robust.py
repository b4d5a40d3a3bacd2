"""Training that makes soft prompts easier to move to other models: noise, and nearness to words.

A prompt that works only at one point of the embedding space is lost when it is moved a little.
Noise on the virtual tokens at every step asks for a neighbourhood that works; a penalty on their
distance to the convex hull of the token embeddings keeps them where another model's words have
counterparts.
"""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor

from promptgraft.errors import ConfigError
from promptgraft.models import Batch, Emitter, FrozenModel, PromptTensors
from promptgraft.training.config import TrainingConfig

ROUNDS = 8  # of the search in the hull: token embeddings in a virtual token's mixture, at most


class Robust:
    """Noise and penalty as the settings say, for prompts of one model."""

    def __init__(self, config: TrainingConfig, model: FrozenModel) -> None:
        self.noise, self.weight, self.seed = config.noise, config.hull, config.seed
        if self.noise or self.weight:
            self.table = model.embed(torch.arange(len(model.tokenizer)))
            self.scale = float(self.table.std())

    def emitter(self, module: Emitter, step: int) -> Emitter:
        """The module with this step's noise on its virtual tokens: normal numbers with `noise`
        times the deviation of the embeddings, the same for every row and part of the batch."""
        if not self.noise:
            return module

        def emit(batch: Batch | None = None) -> PromptTensors | Sequence[PromptTensors]:
            given = module(batch)
            if isinstance(given, Sequence):
                return [self._noisy(one, step) for one in given]
            return self._noisy(given, step)

        return emit

    def penalty(self, module: Emitter) -> Tensor:
        """`hull` times the mean squared distance of the virtual tokens to the hull, in units of the
        deviation of the embeddings; of the prompt for no row in particular. Scalar."""
        if not self.weight:
            return torch.zeros(())
        vectors = _virtual(cast(PromptTensors, module()))
        near = nearest_in_hull(vectors.detach(), self.table.to(vectors.device))
        return self.weight * ((vectors - near) / self.scale).square().mean()

    def _noisy(self, tensors: PromptTensors, step: int) -> PromptTensors:
        vectors = _virtual(tensors)
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + step)
        noise = torch.randn(vectors.shape[-2:], generator=generator).to(vectors.device)
        return {**tensors, "input": vectors + self.noise * self.scale * noise}


def nearest_in_hull(vectors: Tensor, table: Tensor, rounds: int = ROUNDS) -> Tensor:
    """Points of the convex hull of token embeddings near some vectors, by Frank and Wolfe's method.

    From the nearest token, each round goes towards the token that lies furthest in the direction of
    what is left, as far as brings it closest. So a point mixes at most `rounds` + 1 tokens.

    vectors [P, D], table [V, D]; returns [P, D]
    """
    found = table[torch.cdist(vectors, table).argmin(1)]
    for _ in range(rounds):
        left = vectors - found
        way = table[(left @ table.T).argmax(1)] - found
        length = (left * way).sum(1) / way.square().sum(1).clamp(min=1e-12)
        found = found + length.clamp(0, 1)[:, None] * way
    return found


def _virtual(tensors: PromptTensors) -> Tensor:
    """The virtual tokens [..., P, D]. Raises ConfigError for a prefix or no prompt at all."""
    if "input" not in tensors:
        raise ConfigError(
            "noise and hull are for soft prompts, which stand among token embeddings; leave them "
            "at 0, or tune with method=soft-prompt."
        )
    return tensors["input"]
