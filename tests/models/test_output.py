"""The loss taken in parts at the output layer is the cross-entropy of the logits."""

import copy
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn
from torch.nn import functional

from conftest import CAUSAL, MASKED, SEQ2SEQ, tiny
from models.reference import relative
from promptgraft.models import FrozenModel, output

SOURCES = ["the film is great fun", "a dull story", "The Eagle | food : French | area : riverside"]
WORDS = ["good", "bad", "great"]
EXACT = 1e-5
ROUNDING = 2**-8  # of bfloat16
P = 4


def is_plain(model: FrozenModel) -> bool:
    return output.is_plain(model.model, model.model.get_output_embeddings())


def from_logits(model: FrozenModel, batch, prompt, reduction: str):
    return functional.cross_entropy(*model.labelled_logits(batch, prompt), reduction=reduction)


def assert_same(model: FrozenModel, reduction: str = "mean") -> None:
    prompt = (0.5 * torch.randn(P, model.embedding_size)).requires_grad_()
    template = "{prompt} {source} {mask} ." if model.family == "masked" else "{prompt} {source}"
    batch = model.batch(SOURCES, prompt, template, WORDS)
    ours, theirs = (
        model.loss(batch, prompt, reduction),
        from_logits(model, batch, prompt, reduction),
    )
    assert relative(ours, theirs) <= EXACT
    gradients = [torch.autograd.grad(loss, prompt)[0] for loss in (ours, theirs)]
    assert gradients[1].abs().max() > 0
    assert relative(*gradients) <= EXACT


@pytest.mark.parametrize("kind", CAUSAL + SEQ2SEQ + MASKED)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_loss_is_the_cross_entropy_of_the_logits(kind: str, reduction: str):
    model = tiny(kind)
    assert is_plain(model)
    assert_same(model, reduction)


@pytest.mark.parametrize("positions", [1, 2, 3, 1000])
def test_parts_of_any_size(positions: int, monkeypatch: pytest.MonkeyPatch):
    model = tiny("llama")
    monkeypatch.setattr(output, "ROOM", positions * 4 * model.model.config.vocab_size)
    assert_same(model)


def test_kept_memory_carries_nothing_over():
    """Larger, smaller, of other numbers, by several threads at once: a loss is always its own."""

    def check(case: tuple[int, int, torch.dtype]) -> None:
        positions, words, dtype = case
        layer = nn.Linear(8, words, dtype=dtype).requires_grad_(False)
        hidden = torch.randn(positions, 8, dtype=dtype, requires_grad=True)
        labels = torch.randint(words, (positions,))
        loss = output.cross_entropy(hidden, layer, labels)
        expected = functional.cross_entropy(layer(hidden).float(), labels, reduction="sum")
        assert relative(loss, expected) <= EXACT
        gradients = [torch.autograd.grad(one, hidden)[0] for one in (loss, expected)]
        assert relative(*gradients) <= (EXACT if dtype == torch.float32 else ROUNDING)

    cases = [
        (positions, words, dtype)
        for dtype in (torch.float32, torch.bfloat16)
        for positions, words in ((3, 50), (700, 900), (1, 7), (40, 2000), (700, 900))
    ]
    for case in cases:
        check(case)
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(check, cases * 5))


def test_changed_logits_are_seen():
    bent = tiny("gemma3", final_logit_softcapping=2.0)
    assert not is_plain(bent)
    assert_same(bent)
    shifted = tiny("bart")
    shifted.model.final_logits_bias.normal_()
    assert not is_plain(shifted)
    assert_same(shifted)


def test_loss_without_gradient():
    model = tiny("gpt2")
    batch = model.batch(SOURCES, None, "{source}", WORDS)
    with torch.no_grad():
        loss = model.loss(batch)
    assert relative(loss, from_logits(model, batch, None, "mean")) <= EXACT


def test_a_thawed_layer_gets_its_gradient():
    model = tiny("llama")
    batch = model.batch(SOURCES, None, "{source}", WORDS)
    frozen = model.loss(batch)
    weight = model.model.get_output_embeddings().weight.requires_grad_(True)
    gradients = [
        torch.autograd.grad(loss, weight)[0]
        for loss in (model.loss(batch), from_logits(model, batch, None, "mean"))
    ]
    assert relative(frozen, model.loss(batch)) <= EXACT
    assert relative(*gradients) <= EXACT


def test_an_exchanged_layer_counts():
    model = tiny("llama")
    batch = model.batch(SOURCES, None, "{source}", WORDS)
    before = model.loss(batch)
    layer = model.model.get_output_embeddings()
    adapted = nn.Sequential(copy.deepcopy(layer), nn.Tanh()).requires_grad_(False)
    model.model.set_output_embeddings(adapted)
    assert relative(model.loss(batch), from_logits(model, batch, None, "mean")) <= EXACT
    assert relative(model.loss(batch), before) > EXACT
