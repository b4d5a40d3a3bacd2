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

from promptgraft.transfer.across_models import factors
from promptgraft.transfer.across_models.method import Space

# Added to the Gram matrix's diagonal, relative to the diagonal's mean. It keeps anchors that are
# nearly dependent from spoiling the solution, and costs less than 1e-6 of the cosine.
RIDGE = 1e-6


def solve(relative: Tensor, mask: Tensor | None, target: Space, ridge: float = RIDGE) -> Tensor:
    """The vectors [P, D] whose representation is closest to the given one; of any length.

    relative  [P, K]
    mask      [P, K]  the anchors that count for each row; None: all, and then one factorisation
              serves every prompt that is moved to this target: it is kept on disk
    """
    unit = normalize(target.anchors, dim=-1)  # Âᵀ
    if mask is None:
        kept_on_disk = partial(factors.cached, target, ridge, lambda: cholesky(unit, ridge))
        return _closest(relative, unit, kept_on_disk)
    rows = [
        _closest(row[None, kept], unit[kept], partial(cholesky, unit[kept], ridge))
        for row, kept in zip(relative, mask, strict=True)
    ]
    return torch.cat(rows)


def _closest(relative: Tensor, unit: Tensor, factor: Callable[[], Tensor]) -> Tensor:
    """Rows [P, D] for representations [P, k] among the normalised anchors [k, D]."""
    if len(unit) < unit.shape[1]:  # of the many solutions the one of least norm
        solved: Tensor = relative @ torch.linalg.pinv(unit).T
    else:
        solved = torch.cholesky_solve((relative @ unit).double().T, factor()).T.float()
    return solved


def cholesky(unit: Tensor, ridge: float) -> Tensor:
    """The lower factor [D, D] of ÂÂᵀ with its ridge, in float64; the product is float32's.

    unit  [K, D]  Âᵀ
    """
    gram = (unit.T @ unit).double()
    gram.diagonal().add_(ridge * gram.diagonal().mean())
    lower: Tensor = torch.linalg.cholesky(gram)
    return lower
