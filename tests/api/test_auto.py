"""`method=auto`: which prompts are tuned, that they vote, that it goes on after a stop."""

import json
import signal
from dataclasses import replace

import pytest
import torch

from conftest import tiny
from promptgraft import api, prompts
from promptgraft.errors import ConfigError, PromptgraftError, StoppedError
from promptgraft.library import Library
from promptgraft.prompts import Ensemble
from promptgraft.tasks.task import Split
from toy import WORDS, a_task

FEW = {"steps": 6, "batch_size": 4, "length": 3, "hidden": 4, "dtype": "float32"}


def worded(rows=12):
    task = a_task(rows)
    test = Split.of(a_task(4).rows("train"))
    wordings = {"causal": ("{text} is", "good {text} it")}
    return replace(task, manual=wordings, splits={**task.splits, "test": test})


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """With one source prompt."""
    folder = tmp_path_factory.mktemp("auto")
    made = Library(folder / "library")
    api.tune(model=tiny("gpt2"), task=a_task(), library=made, out=folder / "source",
             tag="source", steps=5, length=3)  # fmt: skip
    return made


def tune(library, folder, **settings):
    chosen = {"method": "auto", "out": folder / "run", **FEW, **settings}
    task = chosen.pop("task", None) or worded()
    return api.tune(model=tiny("gpt2"), task=task, library=library, **chosen)


def test_prompts_of_every_way_vote(library, tmp_path):
    run = tune(library, tmp_path, pool="toy@tiny/gpt2:source", tag="auto")
    ensemble, names = run.adaptive, ["soft-prompt", "wording", "prefix", "mlp", "mixture"]
    assert isinstance(ensemble, Ensemble)
    assert [one.card.method for one in ensemble.members] == [
        "soft-prompt", "soft-prompt", "prefix", "prefix:mlp", "crosspt",
    ]  # fmt: skip
    card = library.show("toy@tiny/gpt2:auto").card
    assert (card.method, card.hyperparameters["members"]) == ("ensemble", names)
    assert "lr" not in card.hyperparameters  # in which its members differ
    assert [parent.name for parent in card.parents] == ["toy@tiny/gpt2:source"]
    for name, member in zip(names, ensemble.members, strict=True):
        assert prompts.load(run.folder / "members" / name) == member
    model, rows = tiny("gpt2"), worded().rows("test")
    assert run.evaluation.predictions == model.choose(rows, list(WORDS.values()), ensemble)
    again = api.evaluate("toy@tiny/gpt2:auto", worded(), model=model, library=library)
    assert again.predictions == run.evaluation.predictions
    assert card.metrics["test.accuracy"] == again.scores["accuracy"]
    written = json.loads((run.folder / "results.json").read_text())
    assert list(written["members"]) == names
    assert (run.folder / "curves.png").exists()


def test_each_is_what_its_settings_alone_would_tune(library, tmp_path):
    run = tune(library, tmp_path, transfer={"members": "prefix,soft-prompt"})
    own = {name: value for name, value in FEW.items() if name != "hidden"}
    alone = api.tune(
        model=tiny("gpt2"), task=worded(), library=library, out=tmp_path / "alone", lr=0.01, **own
    )
    assert torch.equal(run.adaptive.members[1].vectors, alone.prompt.vectors)
    assert run.prompt == run.adaptive.members[0]


def test_what_there_is_nothing_for_is_left_out(library, tmp_path):
    run = tune(library, tmp_path, task=replace(worded(), manual={}))
    assert list(run.summary["members"]) == ["soft-prompt", "prefix", "mlp"]
    with pytest.raises(ConfigError, match="None of wording, mixture can be tuned"):
        tune(library, tmp_path, task=a_task(12), transfer={"members": ["wording", "mixture"]})
    with pytest.raises(ConfigError, match="Did you mean 'mixture'"):
        tune(library, tmp_path, transfer={"members": "mixtur"})
    with pytest.raises(ConfigError, match="each at its own rate: leave lr out"):
        tune(library, tmp_path, lr=0.1)
    with pytest.raises(ConfigError, match="nothing fits"):
        tune(library, tmp_path, pool="nothing*", out=tmp_path / "wrong")
    assert not (tmp_path / "wrong").exists()
    with pytest.raises(ConfigError, match="auto tunes several prompts"):
        api.plan(api.TuneConfig(model="mini/bert-s", task="sst2", method="auto"))


@pytest.mark.parametrize("at", [4, 9])
def test_stopped_it_goes_on_to_the_same(library, tmp_path, monkeypatch, at):
    """In its first prompt, and in its second: what is tuned is not tuned again."""
    model = tiny("gpt2")
    model.save(tmp_path / "gpt2")
    lines = [f"{row['text']} {n},{row['label']}" for n, row in enumerate(a_task(60).rows("train"))]
    (tmp_path / "toy.csv").write_text("\n".join(["text,label", *lines]))
    settings = FEW | {
        "model": str(tmp_path / "gpt2"), "task": str(tmp_path / "toy.csv"), "few_shot": 6,
        "data": {"verbalizer": {"0": "bad", "1": "good"}}, "method": "auto",
        "library": Library(tmp_path / "library"),
    }  # fmt: skip
    monkeypatch.chdir(tmp_path)
    whole = api.tune(**settings, out=tmp_path / "whole")
    seen = []

    def stop(now):
        seen.append(now)
        if now.step == at:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(StoppedError, match=f"prompt {1 + at // 6} of 3 that are to vote"):
        api.tune(**settings, out=tmp_path / "parts", report=stop)
    assert (seen[-1].step, seen[-1].steps) == (at, 18)
    resumed = api.resume(tmp_path / "parts", library=settings["library"], report=seen.append)
    assert [now.step for now in seen] == list(range(1, 19))
    assert resumed.adaptive.members == whole.adaptive.members
    assert resumed.evaluation.predictions == whole.evaluation.predictions
    with pytest.raises(PromptgraftError, match="no checkpoint"):
        api.resume(tmp_path / "parts")


def test_a_run_begun_anew_keeps_nothing_of_the_one_before(library, tmp_path):
    tune(library, tmp_path, transfer={"members": "soft-prompt,prefix"})
    run = tune(library, tmp_path, transfer={"members": "prefix"})
    assert [one.name for one in (run.folder / "members").iterdir()] == ["prefix"]


def test_for_texts_it_is_a_prefix_through_an_mlp(tmp_path):
    rows = [{"source": f"name : {n}", "target": f"It is {n} ."} for n in range(40)]
    (tmp_path / "toy.jsonl").write_text("\n".join(map(json.dumps, rows)))
    settings = FEW | {"method": "auto", "few_shot": 6, "test_rows": 1, "model": tiny("gpt2"),
                      "task": str(tmp_path / "toy.jsonl"), "out": tmp_path / "run",
                      "library": Library(tmp_path / "library")}  # fmt: skip
    run = api.tune(**settings)
    assert (run.prompt.card.kind, run.prompt.card.method) == ("prefix", "prefix:mlp")
    assert run.outcome.steps == 6
    with pytest.raises(ConfigError, match="borrows from a pool only where answers are chosen"):
        api.tune(**settings | {"pool": "*"})
