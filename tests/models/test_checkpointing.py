"""Layers that are run again give the same loss and gradients, and keep less meanwhile."""

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from conftest import CAUSAL, MASKED, SEQ2SEQ, tiny

SOURCES, TARGETS = ["the film is great fun", "is", "a dull story"], ["good", "is the bad", "the"]
P = 4


def prompt_of(model, form):
    torch.manual_seed(1)
    if form == "prefix":
        return {
            site: torch.randn(layers, 2, P, heads, size, requires_grad=True)
            for site, (layers, heads, size) in model.geometry.sites.items()
        }
    return {"input": torch.randn(P, model.embedding_size, requires_grad=True)}


def batch_of(model, prompt, form):
    masked = model.family == "masked"
    template = "{source} {prompt} =>" if form == "infix" else "{prompt} {source}"
    answers = ["good"] * 3 if masked else TARGETS
    return model.batch(SOURCES, prompt, template + (" {mask}" if masked else ""), answers)


def gradients(model, batch, prompt):
    """The loss, the gradients, and how many bytes were kept for the backward pass."""
    kept: list[int] = []

    def keep(tensor):
        kept.append(tensor.numel() * tensor.element_size())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = model.loss(batch, prompt)
    return loss.item(), torch.autograd.grad(loss, list(prompt.values())), sum(kept)


@pytest.mark.parametrize("form", ["soft", "prefix", "infix"])
@pytest.mark.parametrize("kind", CAUSAL + MASKED + SEQ2SEQ)
def test_on_is_off(kind, form):
    model = tiny(kind)
    prompt = prompt_of(model, form)
    batch = batch_of(model, prompt, form)
    loss, expected, kept = gradients(model, batch, prompt)
    model.checkpointing = True
    again, found, kept_less = gradients(model, batch, prompt)
    assert again == loss
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one, other)
    assert kept_less < kept
    model.checkpointing = False
    assert gradients(model, batch, prompt)[2] == kept


def test_rows_of_many_prompts():
    model = tiny("gpt2")
    prompts = [prompt_of(model, form) for form in ("soft", "prefix", "soft")]
    losses = []
    for wanted in (False, True):
        model.checkpointing = wanted
        loss = model.loss(model.batch(SOURCES, prompts, "{prompt} {source}", TARGETS), prompts)
        grads = torch.autograd.grad(loss, [t for prompt in prompts for t in prompt.values()])
        losses.append((loss.item(), grads))
    assert losses[0][0] == losses[1][0]
    assert all(map(torch.equal, losses[0][1], losses[1][1]))


def test_nothing_is_run_again_where_nothing_goes_back():
    model = tiny("gpt2")
    before = model.generate(SOURCES, max_new_tokens=3)
    model.checkpointing = True
    assert model.generate(SOURCES, max_new_tokens=3) == before


@pytest.mark.parametrize("form", ["soft", "prefix"])
@pytest.mark.parametrize("kind", ["gpt2", "llama", "t5", "bert"])
def test_the_cost_counts_the_second_run(kind, form):
    """The last product of a layer need not be run again, as torch finds out."""
    model = tiny(kind)
    model.checkpointing = True
    prompt = prompt_of(model, form)
    batch = batch_of(model, prompt, form)
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        model.loss(batch, prompt).backward()
    measured, cost = counter.get_total_flops(), model.cost(batch, prompt)
    assert measured <= cost.flops * 1.04
    assert cost.flops <= measured * 1.25
    model.checkpointing = False
    assert model.cost(batch, prompt).flops < cost.flops
    assert model.cost(batch, prompt).activations > cost.activations
