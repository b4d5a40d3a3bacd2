"""Spectral clustering with the min-max cut (Ding et al. 2001), as PTG groups its source prompts."""

from collections.abc import Sequence

import torch
from torch import Tensor


def min_max_cut(weights: Tensor, groups: Sequence[int]) -> float:
    """Σ_k (weight between group k and the rest) / (weight inside group k); smaller is better.

    weights  [S, S] symmetric, not negative; the diagonal counts as inside
    groups   the group of each of the S nodes
    """
    chosen = torch.unique(torch.tensor(groups), return_inverse=True)[1]
    member = torch.nn.functional.one_hot(chosen).to(weights.dtype)  # [S, groups]
    between = member.T @ weights @ member
    within = between.diagonal()
    return float(((between.sum(1) - within) / within).sum())


def cluster(weights: Tensor, count: int | None = None) -> list[int]:
    """Groups by repeated bisection: each time the split that leaves the smallest min-max cut; at
    last single nodes are moved while that falls.

    weights  [S, S] symmetric, not negative
    count    groups wanted, at most S; None: by the eigengap
    returns  the group of each of the S nodes, numbered in order of appearance
    """
    weights = weights.double()
    wanted = min(count if count is not None else eigengap(weights), len(weights))
    groups = [0] * len(weights)
    while len(set(groups)) < wanted:
        candidates = []
        for group in sorted(set(groups)):
            members = [node for node, own in enumerate(groups) if own == group]
            if len(members) > 1:
                apart = bisect(weights[members][:, members])
                split = list(groups)
                for node, other in zip(members, apart, strict=True):
                    split[node] = len(weights) if other else group
                candidates.append((min_max_cut(weights, split), split))
        groups = _numbered(min(candidates)[1])
    return _numbered(refined(weights, groups))


def refined(weights: Tensor, groups: Sequence[int]) -> list[int]:
    """Single nodes go to other groups while the min-max cut falls; no group is left empty."""
    best, cut = list(groups), min_max_cut(weights, groups)
    names = sorted(set(groups))
    while True:
        moves = [
            [*best[:node], group, *best[node + 1 :]]
            for node in range(len(best)) for group in names if best.count(best[node]) > 1
        ]  # fmt: skip
        better = min(moves, key=lambda move: min_max_cut(weights, move), default=best)
        if min_max_cut(weights, better) >= cut - 1e-12:
            return best
        best, cut = better, min_max_cut(weights, better)


def bisect(weights: Tensor) -> list[bool]:
    """Which nodes go to the second half: the best cut along the Fiedler vector.

    The relaxed problem (D - W) q = λ D q orders the nodes; the min-max cut picks where to cut.
    """
    vectors = torch.linalg.eigh(_laplacian(weights)).eigenvectors
    order = (vectors[:, 1] / weights.sum(1).sqrt()).argsort().tolist()
    halves = [[order.index(n) >= cut for n in range(len(order))] for cut in range(1, len(order))]
    return min(halves, key=lambda half: min_max_cut(weights, list(map(int, half))))


def eigengap(weights: Tensor) -> int:
    """The number of groups, at least two, after which the Laplacian's eigenvalues jump most."""
    values = torch.linalg.eigvalsh(_laplacian(weights.double()))
    if len(values) < 3:
        return len(values)
    return 2 + int((values[2:] - values[1:-1]).argmax())


def _laplacian(weights: Tensor) -> Tensor:
    """I - D^-1/2 W D^-1/2."""
    scale = weights.sum(1).rsqrt()
    return torch.eye(len(weights), dtype=weights.dtype) - scale[:, None] * weights * scale


def _numbered(groups: Sequence[int]) -> list[int]:
    place = {group: number for number, group in enumerate(dict.fromkeys(groups))}
    return [place[group] for group in groups]
