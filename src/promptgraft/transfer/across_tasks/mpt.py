"""MPT (Wang et al. 2023): one shared prompt, and a rank-one matrix for each task."""

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from promptgraft.models import Batch, PromptTensors
from promptgraft.training import Objective
from promptgraft.transfer.across_tasks.distillation import Distillation
from promptgraft.transfer.across_tasks.method import Given, Settings, Transfer, register

ROUNDS = 30  # of alternating least squares; the error falls little after


class MPTSettings(Settings):
    """MPT's choices."""

    start: Literal["fit", "mean"] = "fit"
    """What a pool gives: the shared prompt whose rank-one versions come closest to the sources, and
    the mean of their factors; or the sources' mean and factors of one."""
    distil: float = Field(default=0.0, ge=0)
    """Weight of the distances from the answers and the hidden states under each task's own source
    prompt, of which the pool must hold one; 0.9 in the paper's first stage, where the sources'
    tasks are tuned together."""
    lr_factors: float = Field(default=0.4, gt=0)
    """Learning rate of the rank-one factors; the run's own lr is that of the shared prompt."""

    @property
    def rate(self) -> float:
        return 0.3


@register("mpt")
class MPT(Transfer):
    """p_t = shared ∘ (u_t v_tᵀ), u_t [P] and v_t [width] of each target task.

    Without a pool the shared prompt is drawn and the factors are one.
    """

    Settings: ClassVar = MPTSettings
    needs_pool: ClassVar = False
    joint: ClassVar = True

    def __init__(self, given: Given, settings: MPTSettings) -> None:
        super().__init__(given, settings)
        tables = given.pool.stack() if len(given.pool) else given.drawn(1)
        shared, left, right = {}, {}, {}
        for name, table in tables.items():
            shared[name], u, v = decompose(table, ROUNDS if settings.start == "fit" else 0)
            left[name] = u.mean(0).repeat(len(given.tasks), 1)
            right[name] = v.mean(0).repeat(len(given.tasks), 1)
        self.shared = nn.ParameterDict(shared)
        self.left, self.right = nn.ParameterDict(left), nn.ParameterDict(right)
        self.teachers: list[PromptTensors] = []
        if settings.distil:
            numbers = [given.pool.of_task(task) for task in given.tasks]
            self.teachers = [
                self.layout.shape({name: table[number] for name, table in tables.items()})
                for number in numbers
            ]
        self.rates: Mapping[str, float] = dict.fromkeys(("left", "right"), settings.lr_factors)

    def each(self) -> list[PromptTensors]:
        return [
            self.layout.shape(
                {
                    name: shared * torch.outer(self.left[name][task], self.right[name][task])
                    for name, shared in self.shared.items()
                }
            )
            for task in range(len(self.tasks))
        ]

    @classmethod
    def form(cls, settings: MPTSettings) -> str:
        return "a shared prompt times a matrix of rank one that is the task's own"

    def objective(self, plain: Objective) -> Objective:
        if not self.teachers:
            return plain
        return Distillation(plain, self.teachers, self.settings.distil)

    def forward(self, batch: Batch | None = None) -> PromptTensors | list[PromptTensors]:
        prompts = self.each()
        if batch is None or len(prompts) == 1:
            return prompts[0]
        return [prompts[task] for task in batch.tasks]


def decompose(prompts: Tensor, rounds: int = ROUNDS) -> tuple[Tensor, Tensor, Tensor]:
    """The shared prompt and factors that minimise Σ_s |p_s - shared ∘ (u_s v_sᵀ)|².

    By alternating least squares from the mean and factors of one; every part is a closed form.

    prompts  [S, P, W]
    returns  shared [P, W], u [S, P], v [S, W]
    """
    shared = prompts.mean(0)
    u, v = prompts.new_ones(prompts.shape[:2]), prompts.new_ones(len(prompts), prompts.shape[2])
    for _ in range(rounds):
        basis = shared * v[:, None]
        u = (prompts * basis).sum(2) / basis.square().sum(2).clamp(min=1e-12)
        basis = shared * u[..., None]
        v = (prompts * basis).sum(1) / basis.square().sum(1).clamp(min=1e-12)
        basis = u[..., None] * v[:, None]
        shared = (prompts * basis).sum(0) / basis.square().sum(0).clamp(min=1e-12)
    return shared, u, v
