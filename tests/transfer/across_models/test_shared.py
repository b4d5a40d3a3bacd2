"""A prompt of several models: literal sums of words, and the losses of all."""

import pytest
import torch

from conftest import tiny
from promptgraft.modules import layout
from promptgraft.training import Objective, encode
from promptgraft.transfer.across_models import shared_anchors
from promptgraft.transfer.across_models.method import Space
from promptgraft.transfer.across_models.shared import SharedObjective, SharedPrompt
from toy import a_task

P = 3


@pytest.fixture
def models():
    return [tiny("bert"), tiny("albert")]


@pytest.fixture
def module(models):
    words = shared_anchors(models)[:9]
    spaces = [Space.of(model, words) for model in models]
    return SharedPrompt(layout("soft-prompt", P, models[0]), spaces, seed=0)


def test_a_virtual_token_is_the_sum_of_its_words_at_the_scale_of_each_table(module):
    for number, space in enumerate(module.spaces):
        rows = []
        for weights in module.weights.tolist():
            total = torch.zeros(space.anchors.shape[1])
            for weight, anchor in zip(weights, space.anchors, strict=True):
                total += weight * anchor
            rows.append(total)
        sums, table = torch.stack(rows), space.table
        expected = (sums - sums.mean()) / sums.std() * table.std() + table.mean()
        torch.testing.assert_close(module.within(number)["input"].detach(), expected)


def test_the_loss_is_that_of_each_model_with_its_own_rows(models, module):
    task = a_task(6)
    objectives = [Objective(model, task) for model in models]
    encoded = [
        encode(model, task, task.rows("train"), module.within(n), task.template(model.family))
        for n, model in enumerate(models)
    ]
    for number, rows in enumerate(encoded):
        for row in rows:
            row.task = number
    mixed = [row for rows in encoded for row in rows]
    together = SharedObjective(module, objectives)(module, mixed[::-1])
    apart = [
        objective(module.within(n)["input"], rows)
        for n, (objective, rows) in enumerate(zip(objectives, encoded, strict=True))
    ]
    torch.testing.assert_close(together, sum(apart))
    (whole,) = torch.autograd.grad(together, [module.weights])
    (one,) = torch.autograd.grad(apart[0], [module.weights], retain_graph=True)
    (other,) = torch.autograd.grad(apart[1], [module.weights])
    torch.testing.assert_close(whole, one + other, rtol=1e-4, atol=1e-6)
    assert min(one.abs().max(), other.abs().max()) > 0
