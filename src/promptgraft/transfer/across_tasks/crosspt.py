"""CrossPT: a target prompt is a learned mixture of shared source prompts and a private one."""

import math
import re
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from pydantic import Field, field_validator
from torch import Tensor, nn

from promptgraft.errors import ConfigError
from promptgraft.models import Batch, PromptTensors
from promptgraft.transfer.across_tasks.learned import Fixed, Learned, PromptEncoder
from promptgraft.transfer.across_tasks.method import Borrowed, Given, Settings, Transfer, register
from promptgraft.transfer.across_tasks.similarity import vectors

COLDEST = 1e-3  # temperature at which the router's samples are all but zeros and ones
NAMES = re.compile("PI?|SLP?(N|[1-9][0-9]*)?|SI(L|P|LP)")


@dataclass(frozen=True)
class Configuration:
    """What a name of the paper's Table 1 says.

    S  shared sources: I initialised from the pool, else drawn; L learned
    P  a private prompt for every task; PI: started from the pool's prompt of that task
    N  as many drawn sources as tasks; a number: so many; neither: one
    """

    name: str

    @property
    def has_sources(self) -> bool:
        return self.name.startswith("S")

    @property
    def from_pool(self) -> bool:
        return self.name.startswith("SI")

    @property
    def learns_sources(self) -> bool:
        return "L" in self.name

    @property
    def has_private(self) -> bool:
        return "P" in self.name

    @property
    def private_from_pool(self) -> bool:
        return self.name == "PI"

    def drawn(self, tasks: int) -> int:
        """How many sources are drawn."""
        if not self.has_sources or self.from_pool:
            return 0
        number = self.name.lstrip("SLP")
        return tasks if number == "N" else int(number or 1)


class CrossPTSettings(Settings):
    """CrossPT's choices; the rates are the paper's for a T5-base."""

    configuration: str = "SILP"
    """P, PI, SL, SLN, SLn, SLP, SLPN, SLPn, SIL, SIP or SILP (Table 1); n is a number."""
    temperature: Literal["adaptive", "one"] = "adaptive"
    """adaptive: 1 / log2(1 + S), smaller the more sources there are. (The paper's formula is lost
    in its text; this one falls as it says and is 1 for one source.)"""
    router: Literal["softmax", "bernoulli"] = "softmax"
    """How weights are computed in training. softmax: as at inference, the paper's Eq. 1. bernoulli:
    as in its author's code, drawn anew for each row, relaxed Bernoulli samples of the logits at a
    temperature that falls from 1 to 0.001; here divided by their sum, so that what is trained is a
    mixture too. At inference both are the softmax."""
    annealed: int = Field(default=500, gt=0)
    """router=bernoulli: batches of training in which that temperature falls."""
    encoder: PromptEncoder = "linear"
    """The prompt encoder: none, linear, mlp or lstm."""
    encoders: Literal["shared", "own"] = "shared"
    """One encoder for all prompts, as in the paper, or one for each, as in its author's code."""
    hidden: int = Field(default=512, gt=0)
    """Width of the mlp or lstm."""
    lr_sources: float | None = Field(default=None, gt=0)
    """Learning rate of the sources; default 0.05 from the pool, else 0.15."""
    lr_router: float = Field(default=0.1, gt=0)
    """Learning rate of the attention's logits. The run's own lr is that of the private prompts."""

    @field_validator("encoder", mode="before")
    @classmethod
    def _none(cls, name: object) -> object:
        return "none" if name is None else name  # as YAML and key=value read it

    @field_validator("configuration")
    @classmethod
    def _known(cls, name: str) -> str:
        if not NAMES.fullmatch(name):
            raise ValueError(
                "expected P, PI, SL, SLN, SLP, SLPN, SIL, SIP, SILP, or SL and SLP with a number"
            )
        return name

    @property
    def rate(self) -> float:
        return 0.02 if "I" in self.configuration else 0.07


@register("crosspt")
class CrossPT(Transfer):
    """p_t = Σ_s a_ts · source_s + a_tt · private_t, with a_t = softmax(logits_t / τ) (Eq. 1).

    The logits [tasks, S + 1] start at zero; private prompts are the last column, each seen by its
    own task alone. A batch of rows of several tasks gets each row its own task's prompt.
    """

    Settings: ClassVar = CrossPTSettings
    needs_pool: ClassVar = False
    joint: ClassVar = True

    def __init__(self, given: Given, settings: CrossPTSettings) -> None:
        super().__init__(given, settings)
        kind = Configuration(settings.configuration)
        if (kind.from_pool or kind.private_from_pool) and not len(given.pool):
            raise ConfigError(
                f"configuration={kind.name} starts from source prompts: name a pool, or choose a "
                "configuration without I, such as SLPN."
            )
        count = len(given.pool) if kind.from_pool else kind.drawn(len(given.tasks))
        if not kind.from_pool:
            self.sources = tuple(f"source {number + 1}" for number in range(count))
        start = given.pool.stack() if kind.from_pool else given.drawn(count)
        shape = (
            given.layout.embedding_size,
            settings.encoder,
            settings.encoders == "own",
            settings.hidden,
        )
        self.kind = kind
        self.shared: nn.Module | None = None
        self.private: nn.Module | None = None
        if count:
            self.shared = Learned(start, *shape) if kind.learns_sources else Fixed(start)
        if kind.has_private:
            like = self.shared if isinstance(self.shared, Learned) else None
            self.private = Learned(self._private_start(given), *shape, like)
        columns = count + kind.has_private
        self.router = nn.Parameter(torch.zeros(len(given.tasks), columns)) if columns > 1 else None
        self.temperature = 1.0
        if settings.temperature == "adaptive" and count:
            self.temperature = 1 / math.log2(1 + count)
        if settings.router == "bernoulli":
            self.register_buffer("drawn", torch.zeros((), dtype=torch.long))
        self.rates = {
            "shared": settings.lr_sources or (0.05 if kind.from_pool else 0.15),
            "router": settings.lr_router,
        }

    def _private_start(self, given: Given) -> dict[str, Tensor]:
        if not self.kind.private_from_pool:
            return given.drawn(len(given.tasks))
        pool = given.pool
        alone = len(pool) == len(given.tasks) == 1
        own = [0] if alone else [pool.of_task(task) for task in given.tasks]
        return {name: table[own] for name, table in pool.stack().items()}

    def matrix(self) -> Tensor:
        """Attention weights [tasks, columns], each row summing to one; differentiable."""
        if self.router is None:
            some = next(self.parameters())
            return torch.ones(len(self.tasks), 1, device=some.device)
        return (self.router / self.temperature).softmax(-1)

    def sampled(self, tasks: Tensor) -> Tensor:
        """Attention weights [B, columns] drawn for rows of some tasks [B] (router=bernoulli).

        What is drawn depends on the number of the batch alone, so that resuming is exact.
        """
        assert self.router is not None
        seen = int(self.get_buffer("drawn"))
        temperature = max(COLDEST, COLDEST ** (seen / self.settings.annealed))
        generator = torch.Generator().manual_seed(seen)
        chance = torch.rand(len(tasks), self.router.shape[1], generator=generator)
        noise = chance.clamp(1e-6, 1 - 1e-6).logit().to(self.router.device)
        weights: Tensor = ((self.router[tasks] + noise) / temperature).sigmoid()
        return weights / weights.sum(-1, keepdim=True).clamp(min=COLDEST)

    def _mixed(self, weights: Tensor, tasks: Tensor) -> dict[str, Tensor]:
        """Weights [N, columns] of prompts for N tasks [N] to tables [N, P, width]."""
        parts: list[dict[str, Tensor]] = []
        if self.shared is not None:
            shared = weights[:, : len(self.sources)]
            parts.append(
                {n: torch.einsum("ns,spw->npw", shared, t) for n, t in self.shared().items()}
            )
        if self.private is not None:
            own = weights[:, -1, None, None]
            parts.append({name: own * table[tasks] for name, table in self.private().items()})
        return {name: torch.stack([part[name] for part in parts]).sum(0) for name in parts[0]}

    def each(self) -> list[PromptTensors]:
        mixed = self._mixed(self.matrix(), torch.arange(len(self.tasks)))
        return [
            self.layout.shape({name: table[task] for name, table in mixed.items()})
            for task in range(len(self.tasks))
        ]

    def forward(self, batch: Batch | None = None) -> PromptTensors | list[PromptTensors]:
        if self._samples and batch is not None:
            tasks = torch.tensor(batch.tasks)
            weights = self.sampled(tasks)
            self.get_buffer("drawn").add_(1)
            return self.layout.shape(self._mixed(weights, tasks))
        prompts = self.each()
        if batch is None or len(prompts) == 1:
            return prompts[0]
        return [prompts[task] for task in batch.tasks]

    @property
    def _samples(self) -> bool:
        """Whether weights are drawn now: where gradients are taken, in training that is."""
        drawing = self.settings.router == "bernoulli" and self.router is not None
        return drawing and torch.is_grad_enabled()

    @torch.no_grad()
    def borrowed(self) -> Borrowed:
        """The matrix of attention weights: all that inference needs besides the prompts."""
        columns = (*self.sources, "private") if self.kind.has_private else self.sources
        parts = []
        if self.shared is not None:
            shared = vectors(self.shared())
            parts.append(shared.expand(len(self.tasks), *shared.shape))
        if self.private is not None:
            parts.append(vectors(self.private())[:, None])
        return Borrowed(columns, self.matrix(), torch.cat(parts, dim=1))
