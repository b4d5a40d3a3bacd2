"""One prompt for several models at once, in words that all of them know.

A prompt that is tuned on one model may rest on what that model alone makes of a vector. Here every
virtual token is a weighted sum of anchor words, with the same weights in all models, and all models
learn the weights together: what is left is what the words mean to each of them. A prompt that has
served two models serves a third one better.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from promptgraft.models import Batch, Emitter, Encoded, PromptTensors
from promptgraft.modules import Layout, PromptModule
from promptgraft.training import Objective
from promptgraft.transfer.across_models.method import Space
from promptgraft.transfer.across_models.relative import to_scale


class SharedPrompt(PromptModule):
    """Weights over words [P, K], and by them a prompt [P, D] for each model.

    spaces  of the models, with the same anchor words; `layout` is for the first of them
    """

    def __init__(self, layout: Layout, spaces: Sequence[Space], seed: int) -> None:
        super().__init__(layout)
        shape = layout.length, len(spaces[0].words)
        generator = torch.Generator().manual_seed(seed)
        # Only the directions of the sums count at the start: a rate says how fast they turn.
        self.weights = nn.Parameter(0.02 * torch.randn(shape, generator=generator))
        self.spaces = list(spaces)

    def forward(self, batch: Batch | None = None) -> PromptTensors:
        return self.within(0)

    def within(self, model: int) -> PromptTensors:
        """The prompt in one of the models: sums of its words, scaled as its table is (Eq. 6)."""
        space = self.spaces[model]
        anchors, table = space.anchors.to(self.weights), space.table.to(self.weights)
        return {"input": to_scale(self.weights @ anchors, table)}

    def of(self, model: int) -> Emitter:
        """What gives the rows of one model their prompt."""
        return lambda batch=None: self.within(model)


class SharedObjective(Objective):
    """The loss of rows of several models, each under its own: `Encoded.task` is its number."""

    def __init__(self, module: SharedPrompt, objectives: Sequence[Objective]) -> None:
        self.model = objectives[0].model
        self.module, self.objectives = module, objectives

    def __call__(self, module: Emitter, encoded: Sequence[Encoded]) -> Tensor:
        losses = []
        for number, objective in enumerate(self.objectives):
            own = [row for row in encoded if row.task == number]
            if own:
                losses.append(objective(self.module.of(number), own))
        return torch.stack(losses).sum()
