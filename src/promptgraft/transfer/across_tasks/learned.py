"""Several prompts at once: trained, through a prompt encoder or not, or kept as they are."""

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from promptgraft.modules.reparameterised import LSTM, linear, mlp

PromptEncoder = Literal["none", "linear", "mlp", "lstm"]
NETWORKS = {"linear": linear, "mlp": mlp, "lstm": LSTM}


class Fixed(nn.Module):
    """N prompts that stay what they are."""

    def __init__(self, tables: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.names = list(tables)
        for name, table in tables.items():
            self.register_buffer(name, table.clone())

    def forward(self) -> dict[str, Tensor]:
        """[N, P, width] by "input" or site."""
        return {name: self.get_buffer(name) for name in self.names}


class Learned(nn.Module):
    """N prompts that are trained.

    With a prompt encoder each is the encoder's output over a table [P, D] of its own, plus a
    constant that makes it start where `start` says (as in `modules.reparameterised`).

    start    [N, P, width] by "input" or site
    size     D
    encoder  "none", "linear" (the one that CrossPT settles on), "mlp" or "lstm"
    own      an encoder for every prompt, in place of one for all
    like     other prompts whose encoder these use too
    """

    def __init__(
        self,
        start: Mapping[str, Tensor],
        size: int,
        encoder: PromptEncoder = "none",
        own: bool = False,
        hidden: int = 512,
        like: "Learned | None" = None,
    ) -> None:
        super().__init__()
        self._encoders: tuple[nn.ModuleDict, ...] = ()
        if encoder == "none":
            self.tables = nn.ParameterDict({name: t.clone() for name, t in start.items()})
            return
        self.tables = nn.ParameterDict(
            {name: torch.randn(*table.shape[:2], size) for name, table in start.items()}
        )
        if like is None or own:
            make = NETWORKS[encoder]
            self.networks = nn.ModuleDict(
                {
                    name: nn.ModuleList(
                        make(size, hidden, table.shape[-1]) for _ in range(len(table) if own else 1)
                    )
                    for name, table in start.items()
                }
            )
            self._encoders = (self.networks,)
        else:
            self._encoders = like._encoders  # in a tuple, so that they stay the other's parameters
        for name, table in start.items():
            with torch.no_grad():
                offset = table - self._encoded(name)
            self.register_buffer(f"offset_{name}", offset)

    def forward(self) -> dict[str, Tensor]:
        """[N, P, width] by "input" or site."""
        if not self._encoders:
            return dict(self.tables.items())
        return {
            name: self._encoded(name) + self.get_buffer(f"offset_{name}") for name in self.tables
        }

    def _encoded(self, name: str) -> Tensor:
        networks: Any = self._encoders[0][name]
        return torch.stack(
            [networks[n % len(networks)](table) for n, table in enumerate(self.tables[name])]
        )
