"""How alike source prompts are."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn.functional import normalize

Similarity = Callable[[Tensor, Tensor], Tensor]
"""Prompts [S, P, W] and [R, P, W] to their similarities [S, R]."""


def euclidean(one: Tensor, other: Tensor) -> Tensor:
    """1 / (1 + mean distance of every vector of one from every vector of the other), PTG Eq. 1.

    As published: a prompt's norm counts, and may decide. In (0, 1]; a prompt is not wholly like
    itself, since its vectors differ.
    """
    distances = torch.cdist(one.flatten(0, 1), other.flatten(0, 1))
    blocks = distances.view(len(one), one.shape[1], len(other), other.shape[1])
    return 1 / (1 + blocks.mean((1, 3)))


def normalised(one: Tensor, other: Tensor) -> Tensor:
    """PTG's Eq. 1 on vectors of length one."""
    return euclidean(normalize(one, dim=-1), normalize(other, dim=-1))


def cosine(one: Tensor, other: Tensor) -> Tensor:
    """Cosine of the prompts' mean vectors (SPoT; CrossPT Eq. 2). In [-1, 1]."""
    return normalize(one.mean(1), dim=-1) @ normalize(other.mean(1), dim=-1).T


def tokens(one: Tensor, other: Tensor) -> Tensor:
    """Mean cosine of the virtual tokens at the same place (CrossPT Eq. 4). In [-1, 1]."""
    return (
        torch.einsum("spw,rpw->sr", normalize(one, dim=-1), normalize(other, dim=-1))
        / (one.shape[1])
    )


SIMILARITIES: Mapping[str, Similarity] = {
    "euclidean": euclidean,
    "normalised": normalised,
    "cosine": cosine,
    "tokens": tokens,
}


def as_weights(name: str, prompts: Tensor) -> Tensor:
    """A graph's weights [S, S] by a similarity; cosines are moved to [0, 1]."""
    found = SIMILARITIES[name](prompts, prompts)
    return (1 + found) / 2 if name in ("cosine", "tokens") else found


def vectors(tables: Mapping[str, Tensor]) -> Tensor:
    """Tables [S, P, width] of all attention sites side by side: [S, P, W]."""
    return torch.cat(list(tables.values()), dim=-1)
