"""The closed form of the paper's search (Eq. 5), for one source or several (Eq. 7).

With Â the normalised anchors as columns, the relative representation of v is Âᵀv up to its length,
so its cosine with r is largest for v ∝ (ÂÂᵀ)⁻¹ Â r: least squares. A mask that is laid on both
sides leaves the kept columns of Â and entries of r, so each row has a matrix of its own.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import normalize

from promptgraft.errors import PromptgraftError
from promptgraft.transfer.across_models.method import Space
from promptgraft.transfer.cache import cached

# Added to the Gram matrix's diagonal, relative to the diagonal's mean. It keeps anchors that are
# nearly dependent from spoiling the solution, and costs less than 1e-6 of the cosine.
RIDGE = 1e-6
PRECISION = 1e-6  # of the residual, where a mask makes conjugate gradients the faster way,
MOST_STEPS = 60  # unless they take more steps than this
FACTORS = 16  # kept on disk


def solve(relative: Tensor, mask: Tensor | None, target: Space, ridge: float = RIDGE) -> Tensor:
    """The vectors [P, D] whose representation is closest to the given one; of any length.

    relative  [P, K]
    mask      [P, K]  the anchors that count for each row; None: all

    The factorisation for all anchors serves every prompt that is moved to this target: it is kept
    on disk.
    """
    anchors = target.anchors

    def factor() -> Tensor:
        own = target.model
        facts = own.reference.fingerprint, own.dtype, target.frame, target.words, ridge
        size = anchors.shape[1]
        return cached("factors", facts, (size, size),
                      lambda: cholesky(normalize(anchors, dim=-1), ridge), FACTORS)  # fmt: skip

    if mask is None and len(anchors) >= anchors.shape[1]:
        return _solved(relative / lengths(anchors) @ anchors, factor)
    unit = normalize(anchors, dim=-1)  # Âᵀ
    if mask is None:
        return _closest(relative, unit, factor)
    found, done = _by_gradients(relative, mask, unit, factor, ridge)
    for row in (~done).nonzero().flatten().tolist():
        kept = mask[row]
        own = partial(cholesky, unit[kept], ridge)
        found[row] = _closest(relative[row, kept][None], unit[kept], own)[0]
    return found


def _closest(relative: Tensor, unit: Tensor, factor: Callable[[], Tensor]) -> Tensor:
    """Rows [P, D] for representations [P, k] among the normalised anchors [k, D]."""
    if len(unit) < unit.shape[1]:  # of the many solutions the one of least norm
        solved: Tensor = relative @ torch.linalg.pinv(unit).T
    else:
        solved = _solved(relative @ unit, factor)
    return solved


def _solved(right: Tensor, factor: Callable[[], Tensor]) -> Tensor:
    """Rows [P, D] for the right sides (Âr)ᵀ, [P, D]."""
    solved: Tensor = torch.cholesky_solve(right.double().T, factor()).T.float()
    return solved


def lengths(anchors: Tensor) -> Tensor:
    """Of the anchors [K, D]: [K], none of them zero. To divide by them at the end saves a copy of
    the anchors, which takes longer than all that is computed with it."""
    found: Tensor = anchors.norm(dim=-1).clamp_min(1e-12)
    return found


def _by_gradients(
    relative: Tensor, mask: Tensor, unit: Tensor, factor: Callable[[], Tensor], ridge: float
) -> tuple[Tensor, Tensor]:
    """Conjugate gradients for every row's own matrix, and which rows they solved [P].

    The factor of all anchors is the preconditioner: a mask that keeps a good part of them leaves
    a matrix close to theirs, and some twenty products replace a factorisation for each row. Where
    it keeps less, nothing is tried.
    """
    size = unit.shape[1]
    kept = mask.sum(-1, keepdim=True)
    found = torch.zeros(len(relative), size)
    done = torch.zeros(len(relative), dtype=torch.bool)
    if int(kept.min()) < max(2 * size, len(unit) // 4):
        return found, done
    lower, diagonal = factor().float(), ridge * kept / size
    left = (relative * mask) @ unit
    goal = PRECISION * left.norm(dim=-1)
    step = near = torch.cholesky_solve(left.T, lower).T
    slope = (left * near).sum(-1, keepdim=True)
    for _ in range(MOST_STEPS):
        product = ((step @ unit.T) * mask) @ unit + diagonal * step
        length = slope / (step * product).sum(-1, keepdim=True)
        found, left = found + length * step, left - length * product
        done = left.norm(dim=-1) <= goal
        if done.all():
            break
        near = torch.cholesky_solve(left.T, lower).T
        slope, before = (left * near).sum(-1, keepdim=True), slope
        step = near + slope / before * step
    return found, done


def cholesky(unit: Tensor, ridge: float) -> Tensor:
    """The lower factor [D, D] of ÂÂᵀ with its ridge, in float64.

    unit  [K, D]  Âᵀ

    The product is float32's, unless its rounding could outweigh the ridge: where anchors are hardly
    more than dimensions, or nearly dependent. Raises PromptgraftError if they are so in float64.
    """
    sure = len(unit) >= 2 * unit.shape[1]
    for product in (unit, unit.double()) if sure else (unit.double(),):
        gram = (product.T @ product).double()
        gram.diagonal().add_(ridge * gram.diagonal().mean())
        found = torch.linalg.cholesky_ex(gram)
        if not found.info:
            lower: Tensor = found.L
            return lower
    raise PromptgraftError(
        f"The {len(unit):,} anchors do not span the target's {unit.shape[1]} dimensions; "
        f"give a ridge (now {ridge:g}), such as ridge=1e-6, or more anchors."
    )
