"""The closed form against the paper's search by gradient, and what a transfer must keep."""

import pytest
import torch
from torch.nn.functional import cosine_similarity, normalize

from conftest import tiny
from promptgraft.errors import PromptgraftError, WrongModelError
from promptgraft.prompts import Prefix, PromptCard, SoftPrompt
from promptgraft.transfer.across_models import relative_representation, shared_anchors, transfer
from promptgraft.transfer.across_models.anchors import words
from promptgraft.transfer.across_models.relative import matching_loss, search, several, to_scale

P, D_SOURCE, D_TARGET, K = 3, 12, 16, 80


def test_relative_representation_is_a_cosine_for_every_pair():
    prompt, anchors = torch.randn(P, D_SOURCE), torch.randn(K, D_SOURCE)
    got = relative_representation(prompt, anchors)
    for i in range(P):
        for k in range(K):
            dot = sum(float(a * b) for a, b in zip(prompt[i], anchors[k], strict=True))
            expected = dot / float(prompt[i].norm() * anchors[k].norm())
            assert got[i, k].item() == pytest.approx(expected, abs=1e-5)


def by_adam(relative, anchors, steps=6000):
    """Eq. 5 as the paper solves it."""
    found = torch.randn(len(relative), anchors.shape[1]).requires_grad_()
    optimizer = torch.optim.Adam([found], lr=5e-3)
    for _ in range(steps):
        optimizer.zero_grad()
        loss = -cosine_similarity(relative_representation(found, anchors), relative).sum()
        loss.backward()
        optimizer.step()
    return normalize(found.detach())


def test_closed_form_is_the_end_of_the_search():
    relative = relative_representation(torch.randn(P, D_SOURCE), torch.randn(K, D_SOURCE))
    anchors = torch.randn(K, D_TARGET)
    exact, searched = search(relative, anchors, ridge=0.0), by_adam(relative, anchors)
    assert cosine_similarity(exact, searched).min() > 1 - 1e-4
    gap = matching_loss(searched, anchors, relative) - matching_loss(exact, anchors, relative)
    assert -1e-6 < gap < 1e-4


def test_closed_form_serves_several_sources():
    """Eq. 7: the sum of the cosines to all sources, searched by gradient."""
    relatives = [torch.randn(P, K) for _ in range(3)]
    anchors = torch.randn(K, D_TARGET)
    exact = search(several(relatives), anchors, ridge=0.0)
    found = torch.randn(P, D_TARGET).requires_grad_()
    optimizer = torch.optim.Adam([found], lr=5e-3)
    for _ in range(6000):
        optimizer.zero_grad()
        own = relative_representation(found, anchors)
        (-sum(cosine_similarity(own, r).sum() for r in relatives)).backward()
        optimizer.step()
    assert cosine_similarity(exact, found.detach()).min() > 1 - 1e-4


def test_the_own_model_gives_the_prompt_back():
    prompt, anchors = torch.randn(P, D_SOURCE), torch.randn(K, D_SOURCE)
    found = search(relative_representation(prompt, anchors), anchors, ridge=0.0)
    assert cosine_similarity(found, prompt).min() > 1 - 1e-6


def test_order_of_anchors_and_rotations_do_not_matter():
    relative = relative_representation(torch.randn(P, D_SOURCE), torch.randn(K, D_SOURCE))
    anchors = torch.randn(K, D_TARGET)
    plain = search(relative, anchors)
    order = torch.randperm(K)
    torch.testing.assert_close(search(relative[:, order], anchors[order]), plain)
    rotation = torch.linalg.qr(torch.randn(D_TARGET, D_TARGET)).Q
    torch.testing.assert_close(search(relative, anchors @ rotation), plain @ rotation)


def test_fewer_anchors_than_dimensions():
    found = search(torch.randn(P, 5), torch.randn(5, D_TARGET))
    assert torch.isfinite(found).all()
    assert found.norm(dim=1).tolist() == pytest.approx([1.0] * P)


def test_scale_of_the_target_table():
    got = to_scale(torch.randn(P, D_TARGET), 0.3, 0.05)
    assert got.mean().item() == pytest.approx(0.3, abs=1e-6)
    assert got.std().item() == pytest.approx(0.05, rel=1e-5)


def a_prompt(model):
    card = PromptCard(
        kind="soft-prompt", length=P, base=model.reference, task="toy", template="{prompt} {text}"
    )
    return SoftPrompt(torch.randn(P, model.embedding_size), card)


@pytest.mark.parametrize(
    ("source", "target"), [("bert", "albert"), ("gpt2", "bart"), ("t5", "gpt2")]
)
def test_transfer_fits_the_target_and_names_its_parent(source, target):
    source, target = tiny(source), tiny(target)
    prompt = a_prompt(source)
    moved = transfer(prompt, source, target)
    target.check(moved)
    assert moved.vectors.shape == (P, target.embedding_size)
    assert moved.card.parents[0].content_hash == prompt.content_hash
    assert moved.card.parents[0].relation == "transferred-from"
    table = target.embed(torch.arange(len(target.tokenizer)))
    assert moved.vectors.std().item() == pytest.approx(table.std().item(), rel=1e-4)


def test_transfer_to_itself_keeps_the_direction_up_to_normalisation():
    model = tiny("bert")
    prompt = a_prompt(model)
    moved = transfer(prompt, model, model)
    scaled = to_scale(normalize(prompt.vectors), 0.0, 1.0)
    assert cosine_similarity(to_scale(moved.vectors, 0.0, 1.0), scaled).min() > 0.999


def test_words_are_the_same_across_marks():
    word_piece, byte_bpe, unigram = (words(tiny(k).tokenizer) for k in ("bert", "gpt2", "t5"))
    assert {" good", " is"} <= set(word_piece) & set(byte_bpe)
    assert {" is"} <= set(unigram)
    assert not any("Ġ" in word or "##" in word or "▁" in word for word in [*word_piece, *byte_bpe])


def test_anchors_are_the_shared_words():
    one, two = tiny("bert"), tiny("gpt2")
    anchors = shared_anchors([one, two])
    assert set(anchors.words) == set(words(one.tokenizer)) & set(words(two.tokenizer))
    place = anchors.words.index(" good")
    expected = two.embed(torch.tensor(two.tokenizer(" good")["input_ids"]))[0]
    assert torch.equal(anchors.columns[1][place], expected)


def test_refused():
    one, two = tiny("bert"), tiny("gpt2")
    with pytest.raises(WrongModelError):
        transfer(a_prompt(two), one, two)
    layers, heads, size = one.geometry.sites["self"]
    card = PromptCard(kind="prefix", length=2, base=one.reference)
    prefix = Prefix({"self": torch.randn(layers, 2, 2, heads, size)}, card)
    with pytest.raises(PromptgraftError, match="is a prefix"):
        transfer(prefix, one, two)
