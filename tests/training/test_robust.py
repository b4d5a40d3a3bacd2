"""Noise and hull: what they add, that they are the same alone and together, resumed or not."""

import os
import signal

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from conftest import tiny
from promptgraft import api, modules
from promptgraft.errors import ConfigError, StoppedError
from promptgraft.training import TrainingConfig
from promptgraft.training.robust import Robust, nearest_in_hull
from toy import a_run, same

NOISY = {"noise": 0.5, "hull": 0.3}


def a_module(model):
    layout = modules.layout("soft-prompt", 3, model)
    start = modules.INITIALISERS["vocabulary"]()(model, layout, torch.Generator().manual_seed(0))
    return modules.build("direct", layout, start)


def test_the_point_of_the_hull_is_the_nearest():
    """Against a general optimiser over the weights of all tokens."""
    table = torch.randn(6, 3)
    vectors = torch.cat([2 * torch.randn(3, 3), table[:2].mean(0, keepdim=True)])
    found = nearest_in_hull(vectors, table, rounds=400)
    for vector, point in zip(vectors.double().numpy(), found, strict=True):
        corners = table.double().numpy()
        best = minimize(
            lambda w, v=vector, c=corners: np.square(v - w @ c).sum(),
            np.full(6, 1 / 6),
            bounds=[(0, 1)] * 6,
            constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
        )
        distance = float(np.square(vector - point.double().numpy()).sum())
        assert distance == pytest.approx(best.fun, abs=0.01)
    inside = nearest_in_hull(table, table)
    torch.testing.assert_close(inside, table)


def test_noise_is_as_large_as_asked_for_and_of_its_step():
    model = tiny("bert")
    module = a_module(model)
    robust = Robust(TrainingConfig(noise=0.5, seed=3), model)
    table = model.embed(torch.arange(len(model.tokenizer)))
    drawn = [robust.emitter(module, step)()["input"] - module()["input"] for step in range(400)]
    assert torch.stack(drawn).std().item() == pytest.approx(0.5 * table.std().item(), rel=0.05)
    assert torch.equal(drawn[7], robust.emitter(module, 7)()["input"] - module()["input"])
    assert not torch.allclose(drawn[7], drawn[8])
    rows = robust.emitter(lambda batch=None: [module(), module()], 7)()
    assert all(torch.equal(row["input"] - module()["input"], drawn[7]) for row in rows)


def test_the_penalty_is_the_distance_in_deviations():
    model = tiny("bert")
    module = a_module(model)
    robust = Robust(TrainingConfig(hull=2.0), model)
    assert robust.penalty(module).item() == pytest.approx(0.0, abs=1e-6)  # it starts from words
    table = model.embed(torch.arange(len(model.tokenizer)))
    far = 100 * table[5]
    module.tables["input"].data[:] = far
    gap = (far - nearest_in_hull(far[None], table)[0]) / table.std()
    penalty = robust.penalty(module)
    assert penalty.item() == pytest.approx(2 * gap.square().mean().item(), rel=1e-4)
    penalty.backward()
    assert module.tables["input"].grad.abs().sum() > 0


def test_a_heavy_hull_keeps_the_prompt_among_the_words(tmp_path):
    free, _ = a_run(tmp_path / "free")
    held, _ = a_run(tmp_path / "held", hull=1000.0)
    table = tiny("bert").embed(torch.arange(len(tiny("bert").tokenizer)))
    far = [
        (m()["input"] - nearest_in_hull(m()["input"], table)).norm().item() for m in (free, held)
    ]
    assert far[1] < 0.5 * far[0]


def test_resumed_is_never_stopped(tmp_path):
    def ctrl_c(_module):
        os.kill(os.getpid(), signal.SIGINT)
        return 0.0

    settings = {"evaluate_every": 4, **NOISY}
    whole, _ = a_run(tmp_path / "whole", **settings)
    plain, _ = a_run(tmp_path / "plain", evaluate_every=4)
    assert not same(whole, plain)
    with pytest.raises(StoppedError):
        a_run(tmp_path / "parts", validate=ctrl_c, **settings)
    resumed, _ = a_run(tmp_path / "parts", resume=True, **settings)
    assert same(whole, resumed)


def test_there_is_no_noise_for_what_stands_among_no_words():
    for method in ("prefix", "lora"):
        with pytest.raises(ValueError, match=f"noise and hull are for soft prompts.*{method}"):
            api.TuneConfig(model="mini/bert-s", task="sst2", method=method, noise=0.1)
    robust = Robust(TrainingConfig(noise=0.1), tiny("bert"))
    with pytest.raises(ConfigError, match="leave them at 0"):
        robust.emitter(lambda batch=None: {"self": torch.zeros(1)}, 0)()
