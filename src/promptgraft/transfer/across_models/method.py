"""What every method of transfer takes and gives, and the names they are known by."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

import torch
from pydantic import Field
from torch import Tensor

from promptgraft.models import FrozenModel
from promptgraft.modules.registry import Registry
from promptgraft.training.described import Described
from promptgraft.transfer.across_models.anchors import choose, shared_anchors
from promptgraft.transfer.across_models.words import vocabulary

Anchors = Annotated[int, Field(gt=0)] | Path | tuple[str, ...] | None
FrameName = Literal["plain", "centred", "whitened", "states"]


@dataclass(frozen=True, eq=False)
class Space:
    """The embedding space of a model, as far as a transfer looks into it.

    table    [V, D]  its embeddings of all tokens, float32
    anchors  [K, D]  its embeddings of the anchor words, which have one order in all spaces
    words    K       the anchor words, a leading blank where one begins a word
    model    whose space it is
    frame    the coordinates of all these numbers
    """

    table: Tensor
    anchors: Tensor
    words: tuple[str, ...]
    model: FrozenModel
    frame: FrameName = "plain"

    @classmethod
    def of(cls, model: FrozenModel, words: Sequence[str]) -> Self:
        """The space of a model; `words` must be single tokens for it (see `anchors`)."""
        table = model.embed(torch.arange(len(model.tokenizer))).cpu()
        return cls(table, table[tokens_of(words, model)], tuple(words), model)


def tokens_of(words: Sequence[str], model: FrozenModel) -> Tensor:
    """The ids [K] of words that are single tokens for a model."""
    known = vocabulary(model.tokenizer)
    return torch.tensor([known.find(word) for word in words])


@dataclass(frozen=True, eq=False)
class Sent:
    """What is to be moved: the virtual tokens [P, D] of a prompt, and the space they live in."""

    vectors: Tensor
    space: Space


class Method(Described, ABC):
    """A way to move prompts; its fields are its settings."""

    normalise: bool = False
    """Give the moved prompt the mean and deviation of the target's table (Eq. 6)."""
    frame: FrameName = "plain"
    """Coordinates in which the spaces are compared: as they are, centred, whitened too; or states,
    what the sources' first layers make of a vector that stands alone, the target's as they are."""
    anchors: Anchors = None
    """None: all words that are one token for every model; at most so many of them; or a list of
    words or a file with one on each line, of which the shared ones are taken."""
    anchors_by: Literal["frequent", "random"] = "frequent"
    """Which ones, with a number."""
    anchors_seed: int = 0
    """Of the random ones."""

    def words(self, models: Sequence[FrozenModel]) -> list[str]:
        """The anchor words for some models."""
        shared = shared_anchors(models)
        return choose(shared, self.anchors, self.anchors_by, self.anchors_seed)

    @abstractmethod
    def move(self, sent: Sequence[Sent], target: Space) -> Tensor:
        """The prompts of one task, each [P, D_s] in a space of its own, as one [P, D_t]."""


METHODS: Registry[type[Method]] = Registry("method of transfer")
