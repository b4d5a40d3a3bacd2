"""Zero-Shot Continuous Prompt Transfer (Wu, Wu, Mou 2024): encode relatively, search, normalise."""

import torch
from torch import Tensor
from torch.nn.functional import normalize

RIDGE = 1e-4  # added to the Gram matrix's diagonal, relative to the diagonal's mean


def relative_representation(prompt: Tensor, anchors: Tensor) -> Tensor:
    """Cosine of every virtual token with every anchor (Eq. 3).

    prompt   [P, D]  virtual tokens
    anchors  [K, D]  the anchors' rows of the same model's embedding table
    returns  [P, K]  in [-1, 1]
    """
    return normalize(prompt, dim=-1) @ normalize(anchors, dim=-1).T


def search(relative: Tensor, anchors: Tensor, ridge: float = RIDGE) -> Tensor:
    """The vectors whose relative representation is closest to the given one (Eq. 5).

    The paper searches by gradient. With Â the normalised anchors as columns, the relative
    representation of v is proportional to Âᵀv, so that the cosine with r is largest for
    v ∝ (ÂÂᵀ)⁻¹ Â r: a least-squares problem. A ridge keeps it well posed when anchors are nearly
    dependent; with fewer anchors than dimensions it gives the solution of least norm.

    relative  [P, K]
    anchors   [K, D]  of the target model
    returns   [P, D]  directions of length one
    """
    unit = normalize(anchors.double(), dim=-1)  # Âᵀ
    gram = unit.T @ unit
    gram += ridge * gram.diagonal().mean() * torch.eye(len(gram), dtype=gram.dtype)
    solved = torch.linalg.solve(gram, unit.T @ relative.double().T).T
    return normalize(solved, dim=-1).to(relative.dtype)


def several(relatives: list[Tensor]) -> Tensor:
    """The representation whose search serves several sources at once (Eq. 7).

    relatives  S representations [P, K] of prompts for one task; returns [P, K]
    """
    return torch.stack([normalize(relative, dim=-1) for relative in relatives]).sum(0)


def matching_loss(prompt: Tensor, anchors: Tensor, relative: Tensor) -> float:
    """1 - cosine between the representations of a prompt and the one sought, mean over tokens."""
    found = relative_representation(prompt, anchors)
    return 1 - torch.cosine_similarity(found, relative, dim=-1).mean().item()


def to_scale(prompt: Tensor, table_mean: float, table_std: float) -> Tensor:
    """Give the prompt's numbers the mean and deviation of the target's embedding table (Eq. 6)."""
    return (prompt - prompt.mean()) / prompt.std() * table_std + table_mean
