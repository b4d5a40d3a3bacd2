"""ATTEMPT (Asai et al. 2022): instance-wise attention over source prompts and a target prompt."""

import math
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from promptgraft.models import Batch, PromptTensors
from promptgraft.transfer.across_tasks.instances import PooledEmbeddings
from promptgraft.transfer.across_tasks.learned import Fixed
from promptgraft.transfer.across_tasks.method import Borrowed, Given, Settings, Transfer, register
from promptgraft.transfer.across_tasks.similarity import vectors


class AttemptSettings(Settings):
    """ATTEMPT's choices."""

    hidden: int = Field(default=100, gt=0)
    """Width between the attention's two layers."""
    temperature: float | None = Field(default=None, gt=0)
    """Of the softmax; None: the prompts' width times e, as in the paper."""

    @property
    def rate(self) -> float:
        return 0.3


@register("attempt")
class Attempt(Transfer):
    """p = target + Σ_j a_j p_j over the sources and the target itself.

    a = softmax(p̂_j · G(x̂) / temperature), x̂ the input's embeddings and p̂_j a prompt's vectors,
    largest of each dimension; G is Linear, SiLU, Linear, LayerNorm. The attention is shared by all
    target tasks, each has a target prompt of its own; the sources stay as they are.
    """

    Settings: ClassVar = AttemptSettings
    adapts = True
    joint: ClassVar = True

    def __init__(self, given: Given, settings: AttemptSettings) -> None:
        super().__init__(given, settings)
        self.pooled = PooledEmbeddings(given.model)
        self.pool = Fixed(given.pool.stack())
        self.targets = nn.ParameterDict(given.drawn(len(given.tasks)))
        width = sum(given.layout.widths().values())
        self.network = nn.Sequential(
            nn.Linear(given.layout.embedding_size, settings.hidden, bias=False),
            nn.SiLU(),
            nn.Linear(settings.hidden, width, bias=False),
            nn.LayerNorm(width),
        )
        self.temperature = settings.temperature or width * math.e
        usual = torch.zeros(given.layout.embedding_size)
        if given.rows:
            parts = [given.rows[start : start + 256] for start in range(0, len(given.rows), 256)]
            usual = torch.cat([self.pooled(given.model.collate(part)) for part in parts])
            usual = usual.mean(0).cpu()
        self.register_buffer("usual_input", usual)

    def each(self) -> list[PromptTensors]:
        tasks = torch.arange(len(self.tasks))
        tables = self._mixed(self.get_buffer("usual_input").expand(len(tasks), -1), tasks)
        return [
            self.layout.shape({name: table[task] for name, table in tables.items()})
            for task in tasks.tolist()
        ]

    def forward(self, batch: Batch | None = None) -> PromptTensors:
        if batch is None:
            return self.each()[0]
        return self.layout.shape(self._mixed(self.pooled(batch), torch.tensor(batch.tasks)))

    def attention(self, batch: Batch) -> Tensor:
        return self._weights(self.pooled(batch), torch.tensor(batch.tasks))

    def _weights(self, inputs: Tensor, tasks: Tensor) -> Tensor:
        """[B, D] pooled inputs and their tasks [B] to attention weights [B, S + 1]."""
        keys = vectors(self.pool()).amax(1)
        own = vectors(dict(self.targets.items())).amax(1)[tasks]
        queries = self.network(inputs)
        scores = torch.cat([queries @ keys.T, (queries * own).sum(1, keepdim=True)], dim=1)
        weights: Tensor = (scores / self.temperature).softmax(-1)
        return weights

    def _mixed(self, inputs: Tensor, tasks: Tensor) -> dict[str, Tensor]:
        """Tables [B, P, width]."""
        weights = self._weights(inputs, tasks)
        sources, own = weights[:, :-1], 1 + weights[:, -1, None, None]
        return {
            name: own * self.targets[name][tasks] + torch.einsum("bs,spw->bpw", sources, table)
            for name, table in self.pool().items()
        }

    @torch.no_grad()
    def borrowed(self) -> Borrowed:
        """The attention for the mean input of the training rows."""
        tasks = torch.arange(len(self.tasks))
        inputs = self.get_buffer("usual_input").expand(len(tasks), -1)
        sources, targets = vectors(self.pool()), vectors(dict(self.targets.items()))
        prompts = [sources.expand(len(tasks), *sources.shape), targets[:, None]]
        weights = self._weights(inputs, tasks)
        return Borrowed((*self.sources, "target"), weights, torch.cat(prompts, dim=1))
