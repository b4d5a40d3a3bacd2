"""Which rows make up which batch: shuffled, rows of like length together, the same for a seed."""

from collections.abc import Sequence
from functools import lru_cache

import torch

WINDOW = 32  # batches whose rows are sorted by length together


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
