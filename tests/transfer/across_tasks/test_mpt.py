"""MPT: the product as a loop, the fit to a pool, several tasks in one batch."""

import math

import pytest
import torch

from conftest import tiny
from pools import LENGTH, TEXTS, build, some_prompts
from promptgraft.errors import ConfigError
from promptgraft.training import Objective
from promptgraft.transfer.across_tasks.mpt import decompose
from toy import a_task

S, P, W = 4, 3, 7


def error(prompts, shared, u, v):
    fitted = shared * u[..., None] * v[:, None]
    return (prompts - fitted).square().sum().item()


def test_the_product_as_a_loop():
    module = build("mpt", tiny("t5"), tasks=("a", "b"))
    for parameter in module.parameters():
        parameter.data.normal_()
    for task, emitted in enumerate(module.each()):
        for p in range(LENGTH):
            for d in range(16):
                u, v = module.left["input"][task, p], module.right["input"][task, d]
                expected = module.shared["input"][p, d] * u * v
                torch.testing.assert_close(emitted["input"][p, d], expected)


def test_prompts_that_are_rank_one_versions_are_fitted_exactly():
    shared, u, v = torch.randn(P, W), torch.rand(S, P) + 0.5, torch.rand(S, W) + 0.5
    prompts = shared * u[..., None] * v[:, None]
    assert error(prompts, *decompose(prompts, 200)) < 1e-4 * prompts.square().sum()


def test_every_round_comes_closer():
    prompts = torch.randn(S, P, W)
    errors = [error(prompts, *decompose(prompts, rounds)) for rounds in range(8)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.9 * errors[0]


def test_starts():
    model = tiny("t5")
    mean = torch.stack([p.vectors for p in some_prompts(model).values()]).mean(0)
    module = build("mpt", model, start="mean")
    torch.testing.assert_close(module()["input"], mean)
    assert not torch.allclose(build("mpt", model)()["input"], mean)
    drawn = build("mpt", model, count=0)
    assert torch.equal(drawn()["input"], drawn.shared["input"])
    assert drawn.rates == {"left": 0.4, "right": 0.4}
    assert drawn.trainable() == LENGTH * 16 + LENGTH + 16


def last_states(model, batch, prompt):
    """What the output layer is given at the labels, by way of its own input."""
    seen = []
    layer = model.model.get_output_embeddings()
    handle = layer.register_forward_hook(lambda _layer, given, _output: seen.append(given[0]))
    model.labelled_logits(batch, prompt)
    handle.remove()
    return seen[0].detach()


def test_distillation_as_loops():
    """Row by row: -log p(label) + 0.9 (Σ_v q(v) log(q(v) / p(v)) + Σ_d (g_d - h_d)² / D).

    q and g, the last hidden state, under the row's own source.
    """
    model = tiny("t5")
    module = build("mpt", model, tasks=("c", "a"), distil=0.9)
    template = "{prompt} {text}"
    encoded = model.encode([{"text": t} for t in TEXTS], module, template, ["good", "bad", "is"])
    for row, task in zip(encoded, [0, 1, 0], strict=True):
        row.task = task
    found = module.objective(Objective(model, a_task()))(module, encoded)
    expected = 0.0
    sources = some_prompts(model)
    for row in encoded:
        batch = model.collate([row])
        source = sources[f"{'ca'[row.task]}@tiny"]
        student, labels = model.labelled_logits(batch, module.each()[row.task])
        teacher, _ = model.labelled_logits(batch, source.tensors())
        for own, other, label in zip(student, teacher, labels.tolist(), strict=True):
            p, q = own.double().softmax(0).tolist(), other.double().softmax(0).tolist()
            expected -= math.log(p[label])
            distances = [b * math.log(b / a) for a, b in zip(p, q, strict=True)]
            expected += 0.9 * sum(distances)
        ends = [last_states(model, batch, one) for one in (module.each()[row.task], source)]
        squares = [(g - h) ** 2 for h, g in zip(*(e.flatten().tolist() for e in ends), strict=True)]
        expected += 0.9 * sum(squares) / ends[0].shape[-1]
    assert found.item() == pytest.approx(expected, rel=1e-4)
    plain = Objective(model, a_task())
    assert build("mpt", model).objective(plain) is plain
    with pytest.raises(ConfigError, match="tasks are a, b, c"):
        build("mpt", model, tasks=("z",), distil=0.9)
