"""Coordinates in which embeddings are compared: as they are, centred, whitened too, or as states.

Embedding tables have a common direction and a few large ones that say little about words (Mu and
Viswanath 2018); cosines are taken up by them unless they are removed. States are what a model's
own first layer makes of a vector among its special tokens: anchors in a context, not table rows.
"""

from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import Tensor

from promptgraft.models import FrozenModel
from promptgraft.models.states import lone_states
from promptgraft.transfer.across_models.maps import Linear, Map
from promptgraft.transfer.across_models.method import FrameName, Sent, Space, tokens_of

FLOOR = 1e-4  # of the largest variance: directions below it are left as small as they are


@dataclass(frozen=True, eq=False)
class Frame:
    """An affine change of coordinates; what is None changes nothing.

    origin    [D]
    into      [D, D]
    back      [D, D]  its inverse
    """

    origin: Tensor | None = None
    into: Tensor | None = None
    back: Tensor | None = None

    @classmethod
    def of(cls, table: Tensor, kind: FrameName) -> "Frame":
        """The frame of a model's embeddings [V, D]."""
        if kind == "plain":
            return cls()
        origin = table.mean(0)
        if kind == "centred":
            return cls(origin)
        variances, axes = torch.linalg.eigh(torch.cov((table - origin).double().T))
        scale = variances.clamp_min(FLOOR * float(variances.max())).sqrt()
        return cls(origin, ((axes / scale) @ axes.T).float(), ((axes * scale) @ axes.T).float())

    def enter(self, vectors: Tensor) -> Tensor:
        """[..., D] in the frame."""
        if self.origin is not None:
            vectors = vectors - self.origin
        return vectors if self.into is None else vectors @ self.into

    def leave(self, vectors: Tensor) -> Tensor:
        """[..., D] as the model has them."""
        if self.back is not None:
            vectors = vectors @ self.back
        return vectors if self.origin is None else vectors + self.origin


@dataclass(frozen=True, eq=False)
class States:
    """The states of vectors that stand alone.

    table  [V, H]  the tokens' states
    leave  takes states [N, H] back to vectors [N, D]: the affine map that fits the tokens' states
           to their embeddings best
    """

    model: FrozenModel
    table: Tensor
    leave: Map

    @classmethod
    @lru_cache(maxsize=8)
    def of(cls, model: FrozenModel) -> "States":
        """The frame of a model: one look at every token, remembered."""
        embeddings = model.embed(torch.arange(len(model.tokenizer))).cpu()
        table = lone_states(model, embeddings)
        return cls(model, table, Linear().fit(table, embeddings))

    def enter(self, vectors: Tensor) -> Tensor:
        """[N, D] in the frame: [N, H]."""
        return lone_states(self.model, vectors)


def frame_of(space: Space, kind: FrameName) -> Frame | States:
    """The frame of a space's model."""
    return States.of(space.model) if kind == "states" else Frame.of(space.table, kind)


def framed(space: Space, frame: Frame | States, kind: FrameName) -> Space:
    """A space in a frame's coordinates."""
    if isinstance(frame, States):
        anchors = frame.table[tokens_of(space.words, space.model)]
        return replace(space, table=frame.table, anchors=anchors, frame=kind)
    table, anchors = frame.enter(space.table), frame.enter(space.anchors)
    return replace(space, table=table, anchors=anchors, frame=kind)


def sent_in(one: Sent, kind: FrameName) -> Sent:
    """What is sent, in the frame of its own model."""
    frame = frame_of(one.space, kind)
    return Sent(frame.enter(one.vectors), framed(one.space, frame, kind))
