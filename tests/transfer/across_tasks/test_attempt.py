"""ATTEMPT: its attention as loops, a prompt a row, several target tasks."""

import math

import pytest
import torch

from conftest import tiny
from pools import LENGTH, TEXTS, a_batch, build, card_for, some_prompts
from promptgraft.transfer.across_tasks import AdaptivePrompt, restore
from promptgraft.transfer.across_tasks.instances import PooledEmbeddings

D = 16


def literal(module, sources, target, pooled):
    """The prompt of one row, number by number."""
    down, up, norm = module.network[0].weight, module.network[2].weight, module.network[3]
    hidden = [sum(float(w) * float(x) for w, x in zip(row, pooled, strict=True)) for row in down]
    hidden = [h / (1 + math.exp(-h)) for h in hidden]
    out = [sum(float(w) * h for w, h in zip(row, hidden, strict=True)) for row in up]
    mean = sum(out) / D
    spread = math.sqrt(sum((o - mean) ** 2 for o in out) / D + norm.eps)
    out = [(o - mean) / spread for o in out]
    everyone = [*sources, target]
    scores = [
        sum(max(float(p[t, d]) for t in range(LENGTH)) * out[d] for d in range(D))
        / (module.settings.temperature or D * math.e)
        for p in everyone
    ]
    powers = [math.exp(score) for score in scores]
    result = target.clone()
    for prompt, power in zip(everyone, powers, strict=True):
        result += power / sum(powers) * prompt
    return result


@pytest.mark.parametrize("temperature", [None, 0.5])
def test_the_attention_as_loops(temperature):
    model = tiny("t5")
    module = build("attempt", model, hidden=6, temperature=temperature)
    sources = [prompt.vectors for prompt in some_prompts(model).values()]
    batch = a_batch(model, module)
    with torch.no_grad():
        emitted = module(batch)["input"]
        pooled = PooledEmbeddings(model)(batch)
        for row in range(len(TEXTS)):
            expected = literal(module, sources, module.targets["input"][0], pooled[row])
            torch.testing.assert_close(emitted[row], expected, rtol=1e-4, atol=1e-4)


def test_several_targets_share_the_attention():
    model = tiny("gpt2")
    module = build("attempt", model, tasks=("a", "b"), temperature=0.5)
    template = "{prompt} {text} =>"
    encoded = model.encode([{"text": t} for t in TEXTS], module, template, ["good"] * 3, False)
    for row, task in zip(encoded, [1, 0, 1], strict=True):
        row.task = task
    batch = model.collate(encoded)
    with torch.no_grad():
        logits, _ = model.labelled_logits(batch, module)
    card = card_for(module, model)
    for task in (0, 1):
        value = AdaptivePrompt(module, card, task)
        assert restore(value.state, model, card).usual == value.usual
        alone, _ = model.labelled_logits(batch, restore(value.state, model, card))
        for row, own in enumerate([1, 0, 1]):
            assert torch.allclose(alone[row], logits[row], atol=1e-4) == (own == task)
