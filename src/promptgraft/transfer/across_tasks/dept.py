"""DePT (Shi and Lipani 2024): a short prompt, and a low-rank change of the text's embeddings.

The paper has it for soft prompts of encoder-decoders. Here the prompt may be a prefix too, and the
model causal: what is changed is the input alone (`models.batch.text_of`), never the answer.
"""

from collections.abc import Mapping
from typing import ClassVar

import torch
from pydantic import Field
from torch import nn

from promptgraft.models import Batch, PromptTensors
from promptgraft.transfer.across_tasks.method import Given, Settings, Transfer, register


class DePTSettings(Settings):
    """DePT's choices."""

    rank: int = Field(default=30, gt=0)
    """r, of the change."""
    positions: int = Field(default=256, gt=0)
    """M, the tokens of the text that are changed: the first of them behind the prompt, or of all
    that see the prefix."""
    lr_change: float = Field(default=5e-4, gt=0)
    """Learning rate of the change; the run's own lr is that of the prompt."""

    @property
    def rate(self) -> float:
        return 0.3


@register("dept")
class DePT(Transfer):
    """Tables [P, width] for the input or for each site, and A B added to the text's embeddings,
    A [M, r] and B [r, D].

    The change depends on a token's place alone, and starts at zero. With a pool the prompt starts
    from its mean. It has as many numbers as a soft prompt of l tokens if r = (l - P) D / (M + D).
    """

    Settings: ClassVar = DePTSettings
    needs_pool: ClassVar = False
    adapts = True  # not to rows, but a plain value cannot hold the change

    def __init__(self, given: Given, settings: DePTSettings) -> None:
        super().__init__(given, settings)
        start = given.pool.stack() if len(given.pool) else given.drawn(1)
        size = given.layout.embedding_size
        self.tables = nn.ParameterDict({name: table.mean(0) for name, table in start.items()})
        self.change_rows = nn.Parameter(torch.randn(settings.positions, settings.rank))
        self.change_columns = nn.Parameter(torch.zeros(settings.rank, size))
        self.rates: Mapping[str, float] = {"change": settings.lr_change}

    @classmethod
    def form(cls, settings: DePTSettings) -> str:
        return (
            f"a short prompt and a change of rank {settings.rank} to the embeddings of the text's "
            f"first {settings.positions} tokens"
        )

    def forward(self, batch: Batch | None = None) -> PromptTensors:
        prompt = self.layout.shape(dict(self.tables.items()))
        return {**prompt, "text": self.change_rows @ self.change_columns}
