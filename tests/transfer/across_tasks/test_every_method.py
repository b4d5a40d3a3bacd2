"""What holds for every method: what trains and what stays, resuming, that a value is enough."""

import os
import signal

import pytest
import torch

from conftest import tiny
from pools import a_batch, build, card_for, tuned
from promptgraft.errors import ConfigError, StoppedError
from promptgraft.transfer import across_tasks
from toy import same

METHODS = [
    ("spot", {}),
    ("crosspt", {}),
    ("crosspt", {"configuration": "SIP", "encoder": "none"}),
    ("crosspt", {"configuration": "SLP2", "encoder": "mlp", "hidden": 4}),
    ("crosspt", {"router": "bernoulli", "annealed": 9}),
    ("ptg", {}),
    ("ptg", {"instance": False}),
    ("attempt", {}),
    ("mpt", {}),
    ("dept", {"rank": 2, "positions": 5}),
]
IDS = ["-".join(map(str, [name, *settings.values()])) for name, settings in METHODS]


@pytest.mark.parametrize(("method", "settings"), METHODS, ids=IDS)
@pytest.mark.parametrize("kind", ["soft-prompt", "prefix"])
@pytest.mark.parametrize("family", ["gpt2", "t5", "bert"])
def test_gradients_reach_what_trains_and_nothing_else(method, settings, kind, family):
    model = tiny(family)
    module = build(method, model, kind=kind, **settings)
    for parameter in module.parameters():  # what starts at zero hides what it is multiplied with
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    before = {name: buffer.clone() for name, buffer in module.named_buffers()}
    batch = a_batch(model, module)
    model.loss(batch, module).backward()
    assert module.trainable() > 0
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name
    assert all(parameter.grad is None for parameter in model.model.parameters())
    tables = {n: b for n, b in module.named_buffers() if b.is_floating_point()}  # counts may rise
    assert all(torch.equal(b, before[name]) for name, b in tables.items())


@pytest.mark.parametrize(("method", "settings"), METHODS, ids=IDS)
@pytest.mark.parametrize("kind", ["soft-prompt", "prefix"])
def test_frozen_is_the_module(method, settings, kind):
    model = tiny("bart")
    module = build(method, model, kind=kind, **settings)
    for parameter in module.parameters():
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    card = card_for(module, model)
    value = across_tasks.AdaptivePrompt(module, card) if module.adapts else module.freeze(card)
    batch = a_batch(model, module)
    with torch.no_grad():
        tuned_logits, _ = model.labelled_logits(batch, module)
        frozen_logits, _ = model.labelled_logits(batch, value)
    assert torch.equal(tuned_logits, frozen_logits)


@pytest.mark.parametrize(("method", "settings"), METHODS, ids=IDS)
def test_resumed_is_never_stopped(method, settings, tmp_path):
    model = tiny("bert")

    def ctrl_c(_module):
        os.kill(os.getpid(), signal.SIGINT)
        return 0.0

    whole, _ = tuned(method, model, tmp_path / "whole", **settings)
    with pytest.raises(StoppedError):
        tuned(method, model, tmp_path / "parts", validate=ctrl_c, **settings)
    resumed, _ = tuned(method, model, tmp_path / "parts", resume=True, **settings)
    assert same(whole, resumed)


def test_bad_settings_are_named():
    model = tiny("bert")
    with pytest.raises(ConfigError, match="lr_router"):
        build("crosspt", model, lr_rooter=0.1)
    with pytest.raises(ConfigError, match="crosspt"):
        across_tasks.build("crospt", None, {})
    with pytest.raises(ConfigError, match="needs source prompts"):
        build("spot", model, count=0)
