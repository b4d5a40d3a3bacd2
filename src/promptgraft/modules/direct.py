"""The prompt's numbers are the parameters (Lester et al. 2021; Prefix-Tuning without an MLP)."""

import torch
from torch import nn

from promptgraft.models import Batch, PromptTensors
from promptgraft.modules.layout import Layout
from promptgraft.modules.module import MODULES, PromptModule, Start


@MODULES.register("direct")
class Direct(PromptModule):
    """One table [P, width] for the input or for each site."""

    def __init__(self, layout: Layout, start: Start = None) -> None:
        super().__init__(layout)
        widths = layout.widths()
        if start is None:
            start = {name: torch.randn(layout.length, width) for name, width in widths.items()}
        self.tables = nn.ParameterDict({name: table.clone() for name, table in start.items()})

    def forward(self, batch: Batch | None = None) -> PromptTensors:
        return self.layout.shape(dict(self.tables.items()))
