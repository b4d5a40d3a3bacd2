"""The prompt is the output of a small network over a trainable table; the network is dropped after.

Prefix-Tuning, section 4.3: P[i, :] = MLP(P'[i, :]), with independent networks for the sites of an
encoder-decoder. P-Tuning uses an LSTM in its place.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from promptgraft.models import Batch, PromptTensors
from promptgraft.modules.layout import Layout
from promptgraft.modules.module import MODULES, PromptModule, Start


class Reparameterised(PromptModule):
    """prompt = network(table) + offset.

    The offset is constant: it makes the first prompt the one that the initialiser gives while the
    network keeps its usual random weights. Without an initialiser it is zero, as in the paper.
    """

    def __init__(
        self,
        layout: Layout,
        start: Start,
        network: Callable[[int, int, int], nn.Module],
        hidden: int = 512,
    ) -> None:
        super().__init__(layout)
        size, widths = layout.embedding_size, layout.widths()
        self.tables = nn.ParameterDict({n: torch.randn(layout.length, size) for n in widths})
        self.networks = nn.ModuleDict({n: network(size, hidden, w) for n, w in widths.items()})
        for name, width in widths.items():
            offset = torch.zeros(layout.length, width)
            if start is not None:
                with torch.no_grad():
                    offset = start[name] - self.networks[name](self.tables[name])
            self.register_buffer(f"offset_{name}", offset)

    def forward(self, batch: Batch | None = None) -> PromptTensors:
        emitted = {
            name: network(self.tables[name]) + self.get_buffer(f"offset_{name}")
            for name, network in self.networks.items()
        }
        return self.layout.shape(emitted)


def mlp(size: int, hidden: int, width: int) -> nn.Module:
    """Linear(D, hidden) -> tanh -> Linear(hidden, width), the paper's."""
    return nn.Sequential(nn.Linear(size, hidden), nn.Tanh(), nn.Linear(hidden, width))


def linear(size: int, hidden: int, width: int) -> nn.Module:
    """One linear map; `hidden` has no meaning here."""
    return nn.Linear(size, width)


class LSTM(nn.Module):
    """A bidirectional LSTM along the virtual tokens, then an MLP (P-Tuning, Liu et al. 2021)."""

    def __init__(self, size: int, hidden: int, width: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(size, hidden // 2, bidirectional=True, batch_first=True)
        self.head = nn.Sequential(
            nn.Linear(2 * (hidden // 2), hidden), nn.ReLU(), nn.Linear(hidden, width)
        )

    def forward(self, table: Tensor) -> Tensor:
        """[P, D] -> [P, width]."""
        states, _ = self.lstm(table[None])
        emitted: Tensor = self.head(states[0])
        return emitted


for _name, _network in (("mlp", mlp), ("linear", linear), ("lstm", LSTM)):
    MODULES.register(_name)(partial(Reparameterised, network=_network))
