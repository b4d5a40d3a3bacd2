"""Zero-Shot Continuous Prompt Transfer (Wu, Wu, Mou 2024): encode relatively, search, normalise."""

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import normalize

from promptgraft.transfer.across_models import exact, search
from promptgraft.transfer.across_models.exact import lengths
from promptgraft.transfer.across_models.method import METHODS, Method, Sent, Space

Decay = Annotated[float, Field(ge=0, lt=1)]


def relative_representation(prompt: Tensor, anchors: Tensor) -> Tensor:
    """Cosine of every virtual token with every anchor (Eq. 3).

    prompt   [P, D]  virtual tokens
    anchors  [K, D]  the anchors' rows of the same model's embedding table
    returns  [P, K]  in [-1, 1]
    """
    return normalize(prompt, dim=-1) @ anchors.T / lengths(anchors)


def relatives(sent: Sequence[Sent]) -> list[Tensor]:
    """The representation [P, K] of what each source sends."""
    return [relative_representation(one.vectors, one.space.anchors) for one in sent]


def several(each: Sequence[Tensor]) -> Tensor:
    """The representation whose search serves several sources at once (Eq. 7).

    each  S representations [P, K] of prompts for one task; returns [P, K]
    """
    return torch.stack([normalize(relative, dim=-1) for relative in each]).sum(0)


def largest(relative: Tensor, count: int, by: Literal["signed", "absolute"]) -> Tensor:
    """Which `count` anchors of each row count: [P, K], bool (the paper's appendix A.1).

    by  "signed": those of the highest cosines; "absolute": of the highest magnitudes
    """
    size = relative.abs() if by == "absolute" else relative
    kept = size.topk(min(count, size.shape[1]), dim=-1).indices
    return torch.zeros_like(relative, dtype=torch.bool).scatter(1, kept, True)


def matching_loss(found: Tensor, relative: Tensor, mask: Tensor | None = None) -> Tensor:
    """1 - cosine between the representation found and the one sought, mean over the rows (Eq. 5).

    found, relative  [P, K]
    mask             [P, K]  the anchors that count on both sides; None: all
    """
    if mask is not None:
        found, relative = found * mask, relative * mask
    return 1 - torch.cosine_similarity(found, relative, dim=-1).mean()


def to_scale(prompt: Tensor, table: Tensor) -> Tensor:
    """Give a prompt's numbers the mean and deviation of a model's embedding table (Eq. 6)."""
    return (prompt - prompt.mean()) / prompt.std() * table.std() + table.mean()


@METHODS.register("relative")
class Relative(Method):
    """Search the vectors whose place among the target's anchors is the prompt's among its own.

    Where the paper and its released code differ: the code keeps the `top_k` = 8192 highest cosines
    with the mask of the last source (mask_of="last") and normalises within the search
    (solver="constrained").
    """

    solver: Literal["exact", "adam", "constrained"] = "exact"
    """exact: the closed form; adam: the paper's search; constrained: with Eq. 6 inside."""
    top_k: int | None = Field(default=None, gt=0)
    """Anchors kept for each virtual token; None: all."""
    top_by: Literal["signed", "absolute"] = "signed"
    masked: Literal["both", "source"] = "both"
    """Whose representation the mask of `top_k` is laid on."""
    mask_of: Literal["all", "last"] = "all"
    """With several sources: the mask of their sum, or of the last one."""
    normalise: bool = True
    ridge: float = Field(default=exact.RIDGE, ge=0)
    """Of the exact solver."""
    steps: int = Field(default=2000, gt=0)
    """Of the other solvers, as are Adam's settings and the seed of the start."""
    lr: float = Field(default=5e-3, gt=0)
    betas: tuple[Decay, Decay] = (0.9, 0.999)
    weight_decay: float = Field(default=0.0, ge=0)
    seed: int = 0

    def encode(self, sent: Sequence[Sent]) -> tuple[Tensor, Tensor | None]:
        """The representation sought [P, K], and the mask on the target's [P, K] if there is one."""
        each = relatives(sent)
        relative = several(each)
        if self.top_k is None or self.top_k >= relative.shape[1]:
            return relative, None
        masked = each[-1] if self.mask_of == "last" else relative
        mask = largest(masked, self.top_k, self.top_by)
        relative = several([one * mask for one in each])
        return relative, mask if self.masked == "both" else None

    def move(self, sent: Sequence[Sent], target: Space) -> Tensor:
        relative, mask = self.encode(sent)
        if self.solver == "exact":
            return exact.solve(relative, mask, target, self.ridge)
        unit = normalize(target.anchors, dim=-1)

        def loss(found: Tensor) -> Tensor:
            if self.solver == "constrained":
                found = to_scale(found, target.table)
            return matching_loss(normalize(found, dim=-1) @ unit.T, relative, mask)

        start = search.xavier((len(relative), target.anchors.shape[1]), self.seed)
        return search.adam(loss, start, self.steps, self.lr, self.betas, self.weight_decay)
