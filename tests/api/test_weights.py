"""Baselines through the verbs: settings and folder as of a prompt's run, weights at the end."""

import json
import signal

import pytest
import torch
from safetensors.torch import load_file

from conftest import tiny
from promptgraft import api, cli, tasks
from promptgraft.api import TuneConfig
from promptgraft.api.job import prepare_weights
from promptgraft.errors import ConfigError, StoppedError
from promptgraft.models import FrozenModel
from promptgraft.training.baselines import BASELINES

SETTINGS = {"steps": 6, "batch_size": 4, "evaluate_every": 3, "checkpoint_every": 2, "lr": 0.01}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    model = tiny("gpt2")
    model.save(tmp_path / "gpt2")
    rows = [
        {"source": f"name : {n} | food : French", "target": f"{n} is French ."} for n in range(40)
    ]
    (tmp_path / "tables.jsonl").write_text("\n".join(map(json.dumps, rows)))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def config(method, **settings):
    return TuneConfig(
        model="./gpt2", task="tables.jsonl", method=method, dtype="float32", **SETTINGS | settings
    )


@pytest.mark.parametrize("method", BASELINES.names())
def test_a_run_leaves_weights_that_make_its_model(folder, method):
    done = api.tune_weights(config(method, out="run", decoding={"max_new_tokens": 3}))
    assert {file.name for file in done.folder.iterdir()} == {
        "config.yaml",
        "curves.png",
        "metrics.jsonl",
        "results.json",
        "samples.txt",
        "weights.safetensors",
    }
    results = json.loads((done.folder / "results.json").read_text())
    assert results["test"]["scores"] == done.evaluation.scores
    assert results["share"] == done.share
    kept = load_file(done.folder / "weights.safetensors")
    assert sum(weight.numel() for weight in kept.values()) == results["trainable_parameters"]
    again = BASELINES[method](tiny("gpt2"))  # the same random model
    missing, unknown = again.model.model.load_state_dict(kept, strict=False)
    assert not unknown
    assert not set(missing) & set(kept)
    task = tasks.load("tables.jsonl")
    texts = again.model.generate(task.rows("test"), None, task.template("causal"), max_new_tokens=3)
    assert texts == done.evaluation.predictions


def test_stopped_and_resumed_is_never_stopped(folder):
    def stop(now):
        if now.step == 3:
            signal.raise_signal(signal.SIGINT)

    whole = api.tune_weights(config("adapter", out="whole"))
    with pytest.raises(StoppedError, match="--resume parts"):
        api.tune_weights(config("adapter", out="parts"), report=stop)
    resumed = api.resume(folder / "parts")
    assert resumed.outcome.steps == whole.outcome.steps
    one, other = (load_file(run.folder / "weights.safetensors") for run in (whole, resumed))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_from_the_command_line(folder, capsys):
    words = ["tune", "tables.jsonl", "-m", "./gpt2", "--method", "adapter", "weights.share=0.2"]
    words += ["steps=2", "batch_size=4", "test_rows=2", "dtype=float32"]
    with pytest.raises(SystemExit) as left:
        cli.main([*words, "--dry-run", "--json"])
    assert left.value.code == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["trainable"] == plan["stored"] == round(plan["share"] * plan["frozen"])
    assert plan["share"] == pytest.approx(0.2, rel=0.2)
    with pytest.raises(SystemExit) as left:
        cli.main(words)
    assert left.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2] == (
        f"Trained {plan['trainable']:,} parameters, {100 * plan['share']:.2g} % of the model's"
    )
    assert lines[-1].startswith("Run     runs/tables@.-gpt2-adapter, with weights.safetensors")


def test_rows_are_cut_as_asked_by_name_or_loaded(folder):
    longest = max(map(len, prepare_weights(config("adapter"), None, None).encoded))
    short = config("adapter", max_length=longest - 4)
    loaded = FrozenModel.load("./gpt2", max_length=longest - 4)
    for model in (None, loaded):
        assert max(map(len, prepare_weights(short, model, None).encoded)) == longest - 4
    with pytest.raises(ConfigError, match=f"load it with max_length={longest - 4}"):
        api.tune_weights(short, model=FrozenModel.load("./gpt2"))


def test_what_is_wrong_is_said(folder):
    with pytest.raises(ConfigError, match=r"adapter has no setting 'shar'.*Did you mean 'share'"):
        api.tune_weights(config("adapter", weights={"shar": 0.1}))
    with pytest.raises(ConfigError, match=r"trains weights, not a prompt: use api\.tune_weights"):
        api.tune(config("lora"))
    assert config("lora", lr=None).training().lr == BASELINES["lora"].rate
