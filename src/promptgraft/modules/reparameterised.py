"""The prompt is the output of a small network over a trainable table; the network is dropped after.

Prefix-Tuning, section 4.3: P[i, :] = MLP(P'[i, :]), with independent networks for the sites of an
encoder-decoder. P-Tuning uses an LSTM in its place.
"""

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from promptgraft.models import Batch, PromptTensors
from promptgraft.modules.layout import Layout
from promptgraft.modules.module import MODULES, PromptModule, Start

FIT_RATE = 1e-4


class Reparameterised(PromptModule):
    """prompt = network(table) + offset.

    The offset is constant: it makes the first prompt the one that the initialiser gives while the
    network keeps its usual random weights. Without an initialiser it is zero, as in the paper.

    fit  instead of an offset, bring the network's output near the initial prompt by so many steps
         of Adam at FIT_RATE on the squared error: 500 in Prefix-Tuning's low-data settings
    """

    def __init__(
        self,
        layout: Layout,
        start: Start,
        network: Callable[[int, int, int], nn.Module],
        hidden: int = 512,
        fit: int = 0,
    ) -> None:
        super().__init__(layout)
        size, widths = layout.embedding_size, layout.widths()
        self.tables = nn.ParameterDict({n: torch.randn(layout.length, size) for n in widths})
        self.networks = nn.ModuleDict({n: network(size, hidden, w) for n, w in widths.items()})
        for name, width in widths.items():
            offset = torch.zeros(layout.length, width)
            if start is not None and not fit:
                with torch.no_grad():
                    offset = start[name] - self.networks[name](self.tables[name])
            self.register_buffer(f"offset_{name}", offset)
        if start is not None and fit:
            self._fit(start, fit)

    def _fit(self, start: Mapping[str, Tensor], steps: int) -> None:
        optimizer = torch.optim.Adam(self.parameters(), lr=FIT_RATE)
        for _ in range(steps):
            optimizer.zero_grad()
            errors = [mse_loss(self.networks[n](self.tables[n]), t) for n, t in start.items()]
            torch.stack(errors).sum().backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        optimizer.zero_grad()

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
