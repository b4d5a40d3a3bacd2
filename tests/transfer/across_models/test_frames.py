"""Frames: their definition, and that a change of coordinates can be undone."""

import pytest
import torch
from torch.nn.functional import cosine_similarity

from conftest import tiny
from promptgraft.models.states import lone_states
from promptgraft.transfer.across_models import Relative, shared_anchors
from promptgraft.transfer.across_models.baselines import Direct, Discretize
from promptgraft.transfer.across_models.frames import Frame
from promptgraft.transfer.across_models.maps import Linear
from promptgraft.transfer.across_models.method import Sent, Space
from promptgraft.transfer.across_models.move import move
from spaces import sent, space

P, D, D_TARGET, K = 4, 8, 10, 90


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr("promptgraft.models.loading.CACHE", tmp_path)
    torch.manual_seed(0)


def a_table(size=D):
    return torch.randn(500, size) @ torch.randn(size, size) + 3.0


def test_what_the_frames_are():
    table = a_table()
    assert torch.equal(Frame.of(table, "plain").enter(table), table)
    centred = Frame.of(table, "centred").enter(table)
    torch.testing.assert_close(centred.mean(0), torch.zeros(D), atol=1e-4, rtol=0)
    torch.testing.assert_close(centred, table - table.mean(0))
    white = Frame.of(table, "whitened").enter(table)
    torch.testing.assert_close(torch.cov(white.T), torch.eye(D), atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("kind", ["plain", "centred", "whitened"])
def test_left_is_where_it_was_entered(kind):
    table, vectors = a_table(), torch.randn(P, D)
    frame = Frame.of(table, kind)
    torch.testing.assert_close(frame.leave(frame.enter(vectors)), vectors, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("kind", ["centred", "whitened"])
def test_the_own_model_gives_directions_back_in_every_frame(kind):
    vectors, anchors = torch.randn(P, D), torch.randn(K, D) + 1.0
    place = space(anchors)
    frame = Frame.of(place.table, kind)
    source = sent(vectors, anchors)
    source = type(source)(vectors, place)
    found = move(Relative(frame=kind, normalise=False), [source], place)
    assert cosine_similarity(frame.enter(found), frame.enter(vectors)).min() > 0.9999


def test_words_and_affine_maps_do_not_mind_the_frame():
    source, target = sent(torch.randn(P, D), torch.randn(K, D)), space(torch.randn(K, D_TARGET))
    plain = move(Linear(ridge=0.0), [source], target)
    for kind in ("centred", "whitened"):
        got = move(Linear(ridge=0.0, frame=kind), [source], target)
        torch.testing.assert_close(got, plain, rtol=1e-3, atol=1e-3)
        words = move(Discretize(frame=kind), [source], target)
        apart = (words[:, None] - target.anchors[None]).abs().amax(-1)
        assert apart.min(1).values.max() < 1e-4


@pytest.mark.parametrize("family", ["bert", "albert", "gpt2", "t5"])
def test_states_are_those_of_the_first_layer(family):
    """Of real tokens: what transformers gives for the token between the special ones."""
    model = tiny(family)
    chosen = torch.tensor([7, 11, 19])
    found = lone_states(model, model.embed(chosen), batch_size=2)
    reader = model.model.get_encoder() if family == "t5" else model.model.base_model
    for token, state in zip(chosen.tolist(), found, strict=True):
        ids = torch.tensor([[*model.encoder.first, token, *model.encoder.last]])
        with torch.no_grad():
            states = reader(input_ids=ids, output_hidden_states=True).hidden_states[1]
        torch.testing.assert_close(state, states[0, len(model.encoder.first)])


@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_states_are_the_sources_and_the_target_keeps_its_table(family):
    """A vector far from its embedding is known by the state that the first layer gives it."""
    model, other = tiny(family), tiny("albert")
    words = shared_anchors([model, other])
    here, there = Space.of(model, words), Space.of(other, words)
    states = torch.cat([lone_states(model, row[None]) for row in here.anchors])
    far = 40 * here.anchors[3:5] + 0.1  # the norms of the first layer undo most of it
    seen = lone_states(model, far)
    nearest = cosine_similarity(seen[:, None], states[None], dim=-1).argmax(1)
    moved = move(Discretize(frame="states"), [Sent(far, here)], there)
    assert torch.equal(moved, there.anchors[nearest])
    fitted = move(Linear(frame="states"), [Sent(far, here)], there)
    torch.testing.assert_close(fitted, Linear().fit(states, there.anchors)(seen))


def test_several_prompts_in_a_row_are_scaled_one_by_one():
    anchors, there = torch.randn(K, D), space(torch.randn(K, D))
    one, other = torch.randn(P, D), 50.0 * torch.randn(P, D) + 7.0
    method = Direct(normalise=True)
    both = move(method, [sent(torch.cat([one, other]), anchors)], there, P)
    torch.testing.assert_close(both[:P], move(method, [sent(one, anchors)], there))
    torch.testing.assert_close(both[P:], move(method, [sent(other, anchors)], there))
