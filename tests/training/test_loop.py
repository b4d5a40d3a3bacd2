"""The loop: it learns, accumulates and resumes exactly, keeps the best, and stops with a reason."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from conftest import tiny
from promptgraft import modules
from promptgraft.errors import BadFileError, ConfigError, StoppedError, TrainingError
from promptgraft.tasks.task import Split
from promptgraft.training import TrainingConfig, loop
from promptgraft.training.batches import alike
from promptgraft.training.checkpoint import Progress
from toy import STEPS, a_run, a_task, losses, same

TESTS = Path(__file__).parent.parent


@pytest.mark.parametrize("kind", ["bert", "gpt2", "bart", "t5"])
@pytest.mark.parametrize("objective", ["vocabulary", "choices"])
def test_learns(tmp_path, kind, objective):
    a_run(tmp_path, kind, steps=150, lr=1.0, objective=objective)
    curve = losses(tmp_path)
    assert sum(curve[-10:]) < 0.98 * sum(curve[:10])  # a random model can do little


def test_the_same_seed_gives_the_same_run(tmp_path):
    one, _ = a_run(tmp_path / "one")
    two, _ = a_run(tmp_path / "two")
    other, _ = a_run(tmp_path / "other", seed=1)
    assert same(one, two)
    assert not same(one, other)


def test_accumulation_is_the_large_batch(tmp_path):
    """Rows differ in length and so in padding; the mean is over labels, not over parts."""
    whole, _ = a_run(tmp_path / "whole", kind="gpt2")
    parts, _ = a_run(tmp_path / "parts", kind="gpt2", accumulate=4)
    assert losses(tmp_path / "whole") == pytest.approx(losses(tmp_path / "parts"), rel=1e-5)
    for a, b in zip(whole.parameters(), parts.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", ["gpt2", "bert", "t5"])
def test_rows_computed_apart_by_length_are_the_batch(kind, tmp_path, monkeypatch):
    parts = []

    def divided(lengths):
        parts.append(alike(lengths, extra=0))
        return parts[-1]

    monkeypatch.setattr(loop, "alike", divided)
    split = [
        {**row, "text": row["text"] + " ." * (n % 7)}
        for n, row in enumerate(a_task().rows("train"))
    ]
    task = replace(a_task(), splits={"train": Split.of(split)})
    apart, _ = a_run(tmp_path / "apart", kind=kind, task=task)
    monkeypatch.setattr(loop, "alike", lambda lengths: [list(range(len(lengths)))])
    whole, _ = a_run(tmp_path / "whole", kind=kind, task=task)
    assert any(len(own) > 1 for own in parts)
    assert losses(tmp_path / "whole") == pytest.approx(losses(tmp_path / "apart"), rel=1e-5)
    for a, b in zip(whole.parameters(), apart.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


def test_the_loss_of_sentences_is_the_sum_over_their_tokens(tmp_path):
    """In a batch of all rows: 20 answers of one token, 20 of as many as `words` has."""
    task = replace(a_task(), verbalizer={"0": "bad", "1": "good or bad story"})
    settings = {"kind": "gpt2", "task": task, "steps": 1, "batch_size": 40}
    for average in ("tokens", "sentences"):
        a_run(tmp_path / average, average=average, **settings)
    model = tiny("gpt2")
    words = len(model.encoder.word("good or bad story"))
    assert words > 1
    (tokens,), (sentences,) = losses(tmp_path / "tokens"), losses(tmp_path / "sentences")
    assert sentences == pytest.approx(tokens * (20 * 1 + 20 * words) / 40)


@pytest.mark.parametrize("module", ["direct", "mlp"])
def test_resumed_is_never_stopped(tmp_path, module, monkeypatch):
    whole, _ = a_run(tmp_path / "whole", module=module)
    with pytest.raises(StoppedError, match="--resume"):
        a_run(tmp_path / "parts", module=module, validate=stop_at(6), evaluate_every=6)
    resumed, outcome = a_run(tmp_path / "parts", module=module, resume=True)
    assert outcome.steps == STEPS
    assert same(whole, resumed)
    assert losses(tmp_path / "whole") == losses(tmp_path / "parts")


def stop_at(_step):
    """A validation that presses Ctrl-C."""

    def validate(_module):
        os.kill(os.getpid(), signal.SIGINT)
        return 0.0

    return validate


def test_the_best_state_is_kept(tmp_path):
    scores, states = iter([1.0, 3.0, 2.0, 2.5]), []

    def validate(module):
        states.append({name: t.clone() for name, t in module.state_dict().items()})
        return next(scores)

    module, outcome = a_run(tmp_path, validate=validate, evaluate_every=3)
    assert (outcome.best_step, outcome.best_score) == (6, 3.0)
    assert all(torch.equal(t, states[1][name]) for name, t in module.state_dict().items())


def test_parameters_have_the_rates_that_the_module_names(tmp_path):
    """Adam's first step moves every number by its rate, whatever the gradient."""

    class Two(modules.PromptModule):
        def __init__(self, layout, start):
            super().__init__(layout)
            self.rates = {"quick": 0.5}
            self.quick = torch.nn.Parameter(torch.zeros(3, 16))
            self.slow = torch.nn.Parameter(start["input"].clone())

        def forward(self, batch=None):
            return {"input": self.quick + self.slow}

    modules.MODULES.register("two")(Two)
    try:
        before = a_run(tmp_path / "none", module="two", steps=1, lr=1e-12)[0].slow
        module, _ = a_run(tmp_path / "one", module="two", steps=1, lr=0.01, warmup=0)
    finally:
        del modules.MODULES.items["two"]
    torch.testing.assert_close(module.quick.abs(), torch.full((3, 16), 0.5), rtol=0.01, atol=0)
    moved = (module.slow - before).abs()
    torch.testing.assert_close(moved, torch.full((3, 16), 0.01), rtol=0.01, atol=0)


def test_nothing_to_train(tmp_path):
    class Nothing(modules.PromptModule):
        def forward(self, batch=None):
            return {"input": torch.zeros(3, 16)}

    modules.MODULES.register("nothing")(lambda layout, start: Nothing(layout))
    try:
        with pytest.raises(ConfigError, match="Nothing would be trained"):
            a_run(tmp_path, module="nothing")
    finally:
        del modules.MODULES.items["nothing"]


def test_patience(tmp_path):
    _, outcome = a_run(tmp_path, validate=lambda _: 0.0, evaluate_every=1, patience=3)
    assert (outcome.steps, outcome.best_step) == (4, 1)


def test_not_a_number_stops_with_advice(tmp_path):
    with pytest.raises(TrainingError, match=r"(?s)loss is nan.*smaller lr"):
        a_run(tmp_path, lr=1e30, clip=1e30)


def test_a_run_that_diverges_stops_with_advice():
    from promptgraft.training.loop import SMOOTHED, _check_loss

    config, progress = TrainingConfig(), Progress(step=30)
    _check_loss(progress, 1.0, [1.0] * SMOOTHED, config)
    with pytest.raises(TrainingError, match="runs away"):
        _check_loss(progress, 9.0, [9.0] * SMOOTHED, config)


def test_a_damaged_checkpoint_is_named(tmp_path):
    with pytest.raises(StoppedError):
        a_run(tmp_path, validate=stop_at(6), evaluate_every=6)
    (tmp_path / "checkpoint" / "module.safetensors").write_bytes(b"short")
    with pytest.raises(BadFileError, match="checkpoint"):
        a_run(tmp_path, resume=True)


def test_a_checkpoint_of_another_module_is_refused(tmp_path):
    with pytest.raises(StoppedError):
        a_run(tmp_path, validate=stop_at(6), evaluate_every=6)
    with pytest.raises(BadFileError, match="checkpoint"):
        a_run(tmp_path, module="mlp", resume=True)


def test_tensorboard(tmp_path):
    a_run(tmp_path, tensorboard=True, evaluate_every=2, validate=lambda module: 1.0)
    assert list((tmp_path / "tensorboard").glob("events*"))


CHILD = """
import sys
from pathlib import Path
sys.path[:0] = {tests}
from toy import a_run
a_run(Path("{folder}"), resume={resume}, **{settings})
"""


def test_killed_anywhere_it_continues_to_the_same_end(tmp_path):
    settings = {"steps": 60, "checkpoint_every": 3, "module": "mlp"}
    whole, _ = a_run(tmp_path / "whole", **settings)
    folder = tmp_path / "killed"
    for _ in range(3):
        ready = (folder / "checkpoint" / "progress.json").exists()
        code = CHILD.format(
            tests=[str(TESTS)],
            folder=folder,
            resume=ready,
            settings=settings,
        )
        child = subprocess.Popen([sys.executable, "-c", code])
        seen = progress_in(folder)
        deadline = time.monotonic() + 60
        while child.poll() is None and progress_in(folder) == seen and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(random.uniform(0, 0.1))
        child.kill()
        child.wait()
    resumed, _ = a_run(folder, resume=True, **settings)
    assert same(whole, resumed)
    assert losses(tmp_path / "whole") == losses(folder)


def progress_in(folder):
    try:
        return json.loads((folder / "checkpoint" / "progress.json").read_text())["step"]
    except (OSError, ValueError):
        return None
