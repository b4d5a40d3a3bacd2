"""How often the rows of tasks of different sizes are seen when the tasks are tuned together."""

import math
from collections.abc import Sequence
from typing import Literal

import torch

from promptgraft.errors import ConfigError

Sampling = Literal["proportional", "uniform", "temperature"]


def shares(sizes: Sequence[int], sampling: Sampling, temperature: float = 2.0) -> list[float]:
    """Each task's share of the rows that are seen: n / Σn, equal, or n^(1/T) / Σn^(1/T)."""
    power = {"proportional": 1.0, "uniform": 0.0, "temperature": 1 / temperature}[sampling]
    weights = [size**power for size in sizes]
    return [weight / sum(weights) for weight in weights]


def mixture(
    sizes: Sequence[int], sampling: Sampling, temperature: float = 2.0, seed: int = 0
) -> list[list[int]]:
    """For each task the numbers of its rows in one epoch, some of them several times.

    The epoch is the shortest in which every row is seen at least once and the tasks have their
    shares; which rows are seen once more than others is drawn by `seed`.

    Raises ConfigError for a task without rows.
    """
    if not all(sizes):
        raise ConfigError(f"A task has no training rows; the sizes are {list(sizes)}.")
    wanted = shares(sizes, sampling, temperature)
    total = max(size / share for size, share in zip(sizes, wanted, strict=True))
    generator = torch.Generator().manual_seed(seed)
    chosen = []
    for size, share in zip(sizes, wanted, strict=True):
        count = max(size, math.floor(total * share + 0.5))
        extra = torch.randperm(size, generator=generator)[: count % size].tolist()
        chosen.append([*range(size)] * (count // size) + extra)
    return chosen
