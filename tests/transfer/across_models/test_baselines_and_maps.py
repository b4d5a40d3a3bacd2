"""Baselines against loops, least squares and rotations against their definitions."""

import pytest
import torch
from torch.nn.functional import mse_loss

from conftest import tiny
from promptgraft.errors import ConfigError, PromptgraftError
from promptgraft.transfer.across_models.baselines import Direct, Discretize, Manual, Random
from promptgraft.transfer.across_models.maps import Linear, Procrustes, Projector
from promptgraft.transfer.across_models.method import Space
from spaces import sent, space

P, D, D_TARGET, K = 3, 12, 16, 80


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def test_direct_copies_or_refuses():
    vectors = torch.randn(P, D)
    source = sent(vectors, torch.randn(K, D))
    assert torch.equal(Direct().move([source], space(torch.randn(K, D))), vectors)
    with pytest.raises(PromptgraftError, match="source have 12, those of random 16"):
        Direct().move([source], space(torch.randn(K, D_TARGET)))


def test_random_has_the_scale_of_the_table_and_nothing_of_the_prompt():
    target = space(0.5 + 0.1 * torch.randn(K, D_TARGET))
    one, other = (sent(torch.randn(1000, D), torch.randn(K, D)) for _ in range(2))
    moved = Random(seed=4).move([one], target)
    assert torch.equal(moved, Random(seed=4).move([other], target))
    assert moved.mean().item() == pytest.approx(target.table.mean().item(), abs=0.02)
    assert moved.std().item() == pytest.approx(target.table.std().item(), rel=0.02)


def test_manual_is_the_text_in_the_targets_embeddings():
    model = tiny("bert")
    target = Space.of(model, [" good"])
    moved = Manual(text="good movie").move([], target)
    ids = model.tokenizer("good movie", add_special_tokens=False)["input_ids"]
    assert torch.equal(moved, model.embed(torch.tensor(ids)))
    with pytest.raises(ConfigError, match="has no tokens"):
        Manual(text=" ").move([], target)


@pytest.mark.parametrize("by", ["cosine", "euclidean"])
def test_discretize_takes_the_nearest_anchor(by):
    source, target = sent(torch.randn(P, D), torch.randn(K, D)), space(torch.randn(K, D_TARGET))
    moved = Discretize(by=by).move([source], target)
    for i, vector in enumerate(source.vectors):

        def distance(k, vector=vector):
            anchor = source.space.anchors[k]
            if by == "euclidean":
                return (vector - anchor).norm().item()
            return -(vector @ anchor / vector.norm() / anchor.norm()).item()

        nearest = min(range(K), key=distance)
        assert torch.equal(moved[i], target.anchors[nearest])


def test_linear_finds_the_map_there_is():
    weight, offset = torch.randn(D, D_TARGET), torch.randn(D_TARGET)
    anchors, vectors = torch.randn(K, D), torch.randn(P, D)
    target = space(anchors @ weight + offset)
    moved = Linear(ridge=0.0).move([sent(vectors, anchors)], target)
    torch.testing.assert_close(moved, vectors @ weight + offset, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("sizes", [(12, 12), (12, 16), (16, 12)])
def test_procrustes_finds_the_rotation_and_the_scale(sizes):
    """Turned anchors are found again; between sizes, as much of them as fits."""
    here, there = sizes
    turn = torch.linalg.qr(torch.randn(max(sizes), max(sizes))).Q[:here, :there]
    anchors, vectors = torch.randn(K, here), torch.randn(P, here)
    target = space(2.5 * anchors @ turn + 1.0)
    moved = Procrustes().move([sent(vectors, anchors)], target)
    if here <= there:
        torch.testing.assert_close(moved, 2.5 * vectors @ turn + 1.0, rtol=1e-3, atol=1e-3)


def test_procrustes_is_the_best_of_all_rotations():
    anchors, there = torch.randn(K, D), torch.randn(K, D)
    image = Procrustes().fit(anchors, there)
    best = mse_loss(image(anchors), there)
    middle, aim = anchors - anchors.mean(0), there - there.mean(0)
    for _ in range(50):
        turn = torch.linalg.qr(torch.randn(D, D)).Q
        scale = (middle @ turn * aim).sum() / middle.square().sum()
        assert best <= mse_loss(scale * middle @ turn, aim) + 1e-6


def test_projector_learns_the_anchors_and_repeats_itself():
    weight = torch.randn(D, D_TARGET) / D**0.5
    anchors, vectors = torch.randn(K, D), torch.randn(P, D)
    target = anchors @ weight
    method = Projector(hidden=64, epochs=60, lr=2e-3)
    image = method.fit(anchors, target)
    assert mse_loss(image(anchors), target) < 0.05 * target.var()
    torch.testing.assert_close(image(vectors), method.fit(anchors, target)(vectors))


def test_several_sources_are_averaged():
    target = space(torch.randn(K, D_TARGET))
    sources = [sent(torch.randn(P, D), torch.randn(K, D)) for _ in range(2)]
    alone = [Linear().move([one], target) for one in sources]
    torch.testing.assert_close(Linear().move(sources, target), sum(alone) / 2)
