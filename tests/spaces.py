"""Embedding spaces of random numbers, for tests of the equations."""

from types import SimpleNamespace

import torch

from promptgraft.transfer.across_models.method import Sent, Space


def space(anchors, name="random"):
    """A space whose table is its anchors and as many other tokens."""
    others = torch.randn(len(anchors), anchors.shape[1])
    reference = SimpleNamespace(fingerprint="0" * 64)
    model = SimpleNamespace(name=name, reference=reference, dtype=torch.float32)
    words = tuple(f" word{i}" for i in range(len(anchors)))
    return Space(torch.cat([anchors, others]), anchors, words, model)


def sent(vectors, anchors, name="source"):
    return Sent(vectors, space(anchors, name))
