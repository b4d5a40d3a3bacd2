"""Sparse codes: a virtual token as a sum of few anchor words, which the target has too.

The dense representation of the paper asks that two spaces agree about thousands of words; a code
asks for the few words that the source takes the token for.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import normalize

from promptgraft.transfer.across_models.method import (
    METHODS,
    Anchors,
    FrameName,
    Method,
    Sent,
    Space,
)


@METHODS.register("code")
class Code(Method):
    """Write each virtual token as a sum of a few anchors' embeddings; sum the target's instead.

    With several sources, the mean of what each gives alone.
    """

    normalise: bool = True
    frame: FrameName = "states"
    anchors: Anchors = 3000  # the more, the longer their states take; more gave nothing
    by: Literal["pursuit", "softmax"] = "pursuit"
    """pursuit: orthogonal matching pursuit; softmax: weights by cosine, all positive."""
    atoms: int = Field(default=8, gt=0)
    """Anchors for each virtual token."""
    temperature: float = Field(default=0.02, gt=0)
    """Of the softmax over cosines."""

    def move(self, sent: Sequence[Sent], target: Space) -> Tensor:
        images = [self.encode(one.vectors, one.space.anchors) @ target.anchors for one in sent]
        return torch.stack(images).mean(0)

    def encode(self, vectors: Tensor, anchors: Tensor) -> Tensor:
        """Virtual tokens [P, D] and anchors [K, D] to weights [P, K], few of which are not 0."""
        if self.by == "pursuit":
            return pursuit(vectors, anchors, self.atoms)
        cosines = normalize(vectors, dim=-1) @ normalize(anchors, dim=-1).T
        best = cosines.topk(min(self.atoms, len(anchors)), dim=-1)
        weights = (best.values / self.temperature).softmax(-1)
        return torch.zeros_like(cosines).scatter(1, best.indices, weights)


def pursuit(vectors: Tensor, anchors: Tensor, atoms: int) -> Tensor:
    """Orthogonal matching pursuit (Pati et al. 1993): weights [P, K] of the anchors

    Each round takes the anchor whose direction what is left is nearest to, then fits the weights of
    all that were taken by least squares.

    vectors  [P, D]
    anchors  [K, D]
    """
    unit = normalize(anchors, dim=-1)
    weights = vectors.new_zeros(len(vectors), len(anchors))
    for vector, row in zip(vectors, weights, strict=True):
        taken: list[int] = []
        left = vector
        fitted = vector.new_zeros(0)
        for _ in range(min(atoms, *anchors.shape)):
            nearness = (unit @ left).abs()
            nearness[taken] = -1.0
            taken.append(int(nearness.argmax()))
            columns = anchors[taken].T
            fitted = torch.linalg.lstsq(columns, vector[:, None]).solution[:, 0]
            left = vector - columns @ fitted
        row[taken] = fitted
    return weights
