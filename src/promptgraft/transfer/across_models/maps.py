"""Maps from one embedding space to another, fitted to the anchors: linear, orthogonal, a network.

Several sources are mapped one by one and their images averaged.
"""

from abc import abstractmethod
from collections.abc import Callable, Sequence

import torch
from pydantic import Field
from torch import Generator, Tensor, nn

from promptgraft.transfer.across_models.method import METHODS, Method, Sent, Space

Map = Callable[[Tensor], Tensor]


class Mapped(Method):
    """A method that learns where the anchors go and sends the virtual tokens the same way."""

    def move(self, sent: Sequence[Sent], target: Space) -> Tensor:
        images = [self.fit(one.space.anchors, target.anchors)(one.vectors) for one in sent]
        return torch.stack(images).mean(0)

    @abstractmethod
    def fit(self, source: Tensor, target: Tensor) -> Map:
        """A map [N, D_s] -> [N, D_t], from the anchors [K, D_s] and [K, D_t]."""


@METHODS.register("linear")
class Linear(Mapped):
    """Least squares with an offset: the W and b that minimise |A_s W + b - A_t|²."""

    ridge: float = Field(default=1e-6, ge=0)
    """Added to the diagonal, relative to its mean."""

    def fit(self, source: Tensor, target: Tensor) -> Map:
        here, there = source.double().mean(0), target.double().mean(0)
        centred = source.double() - here
        gram = centred.T @ centred
        gram.diagonal().add_(self.ridge * gram.diagonal().mean())
        weight = torch.linalg.lstsq(gram, centred.T @ (target.double() - there)).solution
        return lambda vectors: ((vectors.double() - here) @ weight + there).float()


@METHODS.register("procrustes")
class Procrustes(Mapped):
    """A rotation and one scale: the orthogonal Q and the s that minimise |s A_s Q - A_t|²
    (Schönemann 1966), both tables centred. Between different sizes Q has orthonormal rows or
    columns."""

    def fit(self, source: Tensor, target: Tensor) -> Map:
        here, there = source.double().mean(0), target.double().mean(0)
        one, other = source.double() - here, target.double() - there
        left, singular, right = torch.linalg.svd(one.T @ other, full_matrices=False)
        rotation = left @ right
        scale = singular.sum() / (one @ rotation).square().sum()
        return lambda vectors: (scale * (vectors.double() - here) @ rotation + there).float()


@METHODS.register("projector")
class Projector(Mapped):
    """The paper's network of two layers (Eq. 8), trained on the anchors alone (Eq. 9).

    The paper chooses the epoch by labelled data of the target; here the last one is taken.
    """

    hidden: int = Field(default=768, gt=0)
    epochs: int = Field(default=10, gt=0)
    batch_size: int = Field(default=16, gt=0)
    lr: float = Field(default=5e-3, gt=0)
    seed: int = 0

    def fit(self, source: Tensor, target: Tensor) -> Map:
        generator = Generator().manual_seed(self.seed)
        network = nn.Sequential(
            nn.Linear(source.shape[1], self.hidden),
            nn.LeakyReLU(),
            nn.Linear(self.hidden, target.shape[1]),
        )
        for weight in network.parameters():
            bound = weight.shape[-1] ** -0.5
            nn.init.uniform_(weight, -bound, bound, generator)
        optimizer = torch.optim.Adam(network.parameters(), lr=self.lr)
        for _ in range(self.epochs):
            order = torch.randperm(len(source), generator=generator)
            for rows in torch.split(order, self.batch_size):
                optimizer.zero_grad()
                loss = nn.functional.mse_loss(network(source[rows]), target[rows])
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
        return lambda vectors: network(vectors).detach()
