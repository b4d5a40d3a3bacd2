"""What a transfer has to beat: the paper's baselines but the learned maps."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Generator, Tensor
from torch.nn.functional import normalize

from promptgraft.errors import ConfigError, PromptgraftError
from promptgraft.transfer.across_models.method import METHODS, Method, Sent, Space


@METHODS.register("direct")
class Direct(Method):
    """The numbers as they are; both models must have one embedding size."""

    def move(self, sent: Sequence[Sent], target: Space) -> Tensor:
        for one in sent:
            size, wanted = one.vectors.shape[1], target.table.shape[1]
            if size != wanted:
                raise PromptgraftError(
                    f"direct copies numbers, and virtual tokens of {one.space.model.name} have "
                    f"{size}, those of {target.model.name} {wanted}. Use --method relative."
                )
        return torch.stack([one.vectors for one in sent]).mean(0)


@METHODS.register("random")
class Random(Method):
    """Normal numbers with the mean and deviation of the target's table: nothing is moved."""

    seed: int = 0

    def move(self, sent: Sequence[Sent], target: Space) -> Tensor:
        generator = Generator().manual_seed(self.seed)
        noise = torch.randn(len(sent[0].vectors), target.table.shape[1], generator=generator)
        return noise * target.table.std() + target.table.mean()


@METHODS.register("manual")
class Manual(Method):
    """The embeddings of a text, one virtual token for each of its tokens: nothing is moved."""

    text: str

    def move(self, sent: Sequence[Sent], target: Space) -> Tensor:
        tokens = target.model.encoder.word(self.text)
        if not tokens:
            raise ConfigError(f"text: {self.text!r} has no tokens.")
        return target.table[torch.tensor(tokens)]


@METHODS.register("discretize")
class Discretize(Method):
    """Each virtual token becomes the anchor word that is nearest to it.

    With several sources, the word whose similarity to all of them is highest in the sum.
    """

    by: Literal["cosine", "euclidean"] = "cosine"

    def move(self, sent: Sequence[Sent], target: Space) -> Tensor:
        near = torch.stack([self.nearness(one.vectors, one.space.anchors) for one in sent]).sum(0)
        return target.anchors[near.argmax(-1)]

    def nearness(self, vectors: Tensor, anchors: Tensor) -> Tensor:
        """[P, D] and [K, D] to [P, K]; higher is nearer."""
        if self.by == "euclidean":
            return -torch.cdist(vectors, anchors)
        return normalize(vectors, dim=-1) @ normalize(anchors, dim=-1).T
