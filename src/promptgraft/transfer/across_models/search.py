"""Search by gradient, as the paper does it."""

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor


def xavier(shape: tuple[int, int], seed: int) -> Tensor:
    """Normal numbers of the deviation that Glorot and Bengio (2010) give a matrix: [P, D]."""
    noise = torch.randn(shape, generator=Generator().manual_seed(seed))
    return noise * math.sqrt(2 / sum(shape))


def adam(
    loss: Callable[[Tensor], Tensor],
    start: Tensor,
    steps: int,
    lr: float,
    betas: tuple[float, float] = (0.9, 0.999),
    weight_decay: float = 0.0,
) -> Tensor:
    """Where Adam comes to from `start` in so many steps."""
    found = start.clone().requires_grad_()
    optimizer = torch.optim.Adam([found], lr, betas, weight_decay=weight_decay)
    for _ in range(steps):
        optimizer.zero_grad()
        loss(found).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return found.detach()
