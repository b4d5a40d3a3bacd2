"""Sparse codes: what is a sum of few anchors is found as that sum."""

import pytest
import torch
from torch.nn.functional import cosine_similarity

from promptgraft.transfer.across_models.codes import Code, pursuit
from spaces import sent, space

P, D, D_TARGET, K = 4, 24, 16, 60


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def test_pursuit_finds_the_words_it_is_made_of():
    anchors = torch.linalg.qr(torch.randn(D, D)).Q  # orthogonal, so that it cannot be misled
    weights = torch.zeros(P, D)
    for row in weights:
        row[torch.randperm(D)[:3]] = torch.tensor([2.0, -1.0, 0.5])
    torch.testing.assert_close(pursuit(weights @ anchors, anchors, 3), weights)


def test_each_atom_is_the_best_that_could_be_added():
    vectors, anchors = torch.randn(P, D), torch.randn(K, D)
    one = pursuit(vectors, anchors, 1)
    for vector, row in zip(vectors, one, strict=True):
        errors = []
        for anchor in anchors:
            factor = (vector @ anchor) / (anchor @ anchor)
            errors.append((vector - factor * anchor).norm().item())
        assert (vector - row @ anchors).norm().item() == pytest.approx(min(errors), rel=1e-5)


def test_more_atoms_leave_less():
    vectors, anchors = torch.randn(P, D), torch.randn(K, D)
    left = [(vectors - pursuit(vectors, anchors, n) @ anchors).norm().item() for n in (1, 3, 9, D)]
    assert left == sorted(left, reverse=True)
    assert left[-1] == pytest.approx(0.0, abs=1e-3)


def test_softmax_weights_the_nearest_words():
    vectors, anchors = torch.randn(P, D), torch.randn(K, D)
    weights = Code(by="softmax", atoms=3, temperature=0.1).encode(vectors, anchors)
    assert ((weights > 0).sum(1) == 3).all()
    torch.testing.assert_close(weights.sum(1), torch.ones(P))
    for vector, row in zip(vectors, weights, strict=True):
        cosines = torch.stack([cosine_similarity(vector, a, dim=0) for a in anchors])
        chosen = row > 0
        assert cosines[chosen].min() >= cosines[~chosen].max()
        expected = (cosines[chosen] / 0.1).softmax(0)
        torch.testing.assert_close(row[chosen], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("by", ["pursuit", "softmax"])
def test_the_target_sums_its_own_words(by):
    anchors, there = torch.randn(K, D), torch.randn(K, D_TARGET)
    method = Code(by=by, atoms=1)
    moved = method.move([sent(3.0 * anchors[:P], anchors)], space(there))
    scale = 3.0 if by == "pursuit" else 1.0
    torch.testing.assert_close(moved, scale * there[:P])
