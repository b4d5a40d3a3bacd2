"""What prompts are compared with: the same loop, other parameters."""

import copy

from torch import nn

from promptgraft.models import Batch, FrozenModel, PromptTensors


class FineTuning(nn.Module):
    """All weights of a model, trained by the loop as if they were a prompt module.

    It works on a copy: the attribute `model` is a second `FrozenModel`, in float32, thawed.
    """

    def __init__(self, model: FrozenModel) -> None:
        super().__init__()
        weights = nn.Module.float(copy.deepcopy(model.model))
        self.model = FrozenModel(weights, model.tokenizer, model.name)
        self.weights = self.model.model.requires_grad_(True)

    def forward(self, batch: Batch | None = None) -> PromptTensors:
        """No prompt."""
        return {}
