"""Which rows make up which batch: shuffled, rows of like length together, the same for a seed."""

from collections.abc import Sequence
from functools import lru_cache

import torch

WINDOW = 32  # batches whose rows are sorted by length together
PASS = 256  # tokens that take a processor about as long as one more pass through a model does


class Batches:
    """The batches of a run, by step: any step can be asked for, so resuming needs no replay."""

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int) -> None:
        self.lengths, self.size, self.seed = torch.tensor(lengths), batch_size, seed
        self.per_epoch = -(-len(lengths) // batch_size)
        self._epoch = lru_cache(maxsize=2)(self._shuffled)

    def __getitem__(self, step: int) -> list[int]:
        """The rows of the batch at a step (0-based); an epoch's last batch may be smaller."""
        return self._epoch(step // self.per_epoch)[step % self.per_epoch]

    def _shuffled(self, epoch: int) -> list[list[int]]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
        order = torch.randperm(len(self.lengths), generator=generator)
        batches: list[torch.Tensor] = []
        for window in torch.split(order, WINDOW * self.size):
            by_length = window[self.lengths[window].argsort(stable=True)]
            batches += torch.split(by_length, self.size)
        shuffled = torch.randperm(len(batches), generator=generator).tolist()
        return [batches[number].tolist() for number in shuffled]


def alike(lengths: Sequence[int], extra: int = PASS) -> list[list[int]]:
    """The rows of a batch in parts of like length, so that the least is computed.

    A part costs its rows times the longest of them, for shorter ones are padded, and `extra`.
    """
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    best: list[tuple[int, int]] = [
        (0, 0)
    ]  # of the shortest rows: their cost, the last part's begin
    for end in range(1, len(order) + 1):
        longest = lengths[order[end - 1]]
        best.append(min((best[n][0] + (end - n) * longest + extra, n) for n in range(end)))
    parts, end = [], len(order)
    while end:
        parts.append(order[best[end][1] : end])
        end = best[end][1]
    return parts
