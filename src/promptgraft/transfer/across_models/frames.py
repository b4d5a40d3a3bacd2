"""Coordinates in which embeddings are compared: as they are, centred, whitened too, or as states.

Embedding tables have a common direction and a few large ones that say little about words (Mu and
Viswanath 2018); cosines are taken up by them unless they are removed. States are what the source's
first layer makes of a vector among its special tokens: there a virtual token, which may be far from
every embedding, is nearest to the words that the model takes it for. The target's table stays as it
is, for the new prompt must live there.
"""

from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from promptgraft.models import FrozenModel
from promptgraft.models.states import lone_states
from promptgraft.transfer.across_models.method import FrameName, Sent, Space, tokens_of

_SEEN: WeakKeyDictionary[FrozenModel, dict[tuple[str, ...], Tensor]] = WeakKeyDictionary()
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
        if kind in ("plain", "states"):
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


def framed(space: Space, frame: Frame, kind: FrameName) -> Space:
    """A space in a frame's coordinates."""
    table, anchors = frame.enter(space.table), frame.enter(space.anchors)
    return replace(space, table=table, anchors=anchors, frame=kind)


def sent_in(one: Sent, kind: FrameName) -> Sent:
    """What is sent, in the frame of its own model."""
    if kind == "states":
        seen = _states_of(one.space.model, one.space.words)
        return Sent(
            lone_states(one.space.model, one.vectors), replace(one.space, anchors=seen, frame=kind)
        )
    frame = Frame.of(one.space.table, kind)
    return Sent(frame.enter(one.vectors), framed(one.space, frame, kind))


def _states_of(model: FrozenModel, words: tuple[str, ...]) -> Tensor:
    """The anchors' states [K, H] in a model: one look at every word, remembered with the model."""
    seen = _SEEN.setdefault(model, {})
    if words not in seen:
        seen[words] = lone_states(model, model.embed(tokens_of(words, model)))
    return seen[words]
