"""`method=auto` on planted problems: a pool that helps, one that harms, and what it may look at."""

import json
import signal
from dataclasses import replace

import pytest
import torch

from conftest import tiny
from promptgraft import api
from promptgraft.api import choosing
from promptgraft.errors import ConfigError, DataError, StoppedError
from promptgraft.library import Library
from promptgraft.tasks.task import Split
from toy import a_task

FEW = {"steps": 6, "batch_size": 4, "lr": 0.03, "length": 3, "dtype": "float32"}


def stopping(at):
    def report(now):
        if now.step == at:
            signal.raise_signal(signal.SIGINT)

    return report


@pytest.fixture(scope="module")
def pools(tmp_path_factory):
    """Sources that know the toy task, that know its opposite, and that know nothing of it."""
    folder = tmp_path_factory.mktemp("pools")
    library, model, task = Library(folder / "library"), tiny("gpt2"), a_task()
    rows = task.rows("train")
    opposite = [{**row, "label": 1 - row["label"]} for row in rows]
    for name, given in (("helpful", rows), ("harmful", opposite)):
        part = replace(task, splits={"train": Split.of(given)})
        settings = {"steps": 150, "batch_size": 16, "lr": 0.1, "length": 3, "objective": "choices"}
        run = api.tune(
            model=model, task=part, library=library, out=folder / name, tag=name, **settings
        )
        assert run.outcome.steps == 150
    return library


def tune(pools, folder, source, **settings):
    chosen = {"method": "auto", "pool": f"toy@tiny/gpt2:{source}", "out": folder / "run"} | FEW
    task = settings.pop("task", a_task(12))
    return api.tune(model=tiny("gpt2"), task=task, library=pools, **(chosen | settings))


def test_a_pool_that_helps_is_borrowed_from(pools, tmp_path):
    run = tune(pools, tmp_path, "helpful")
    choice = run.prompt.card.hyperparameters["choice"]
    assert choice["chosen"] == "best-source"
    assert choice["because"].startswith("best-source changes the errors of a row left out by -0.")
    assert choice["rows"] == 12
    assert choice["loss"]["best-source"] < choice["loss"]["private"]
    assert run.prompt.card.method == "spot"
    assert [parent.name for parent in run.prompt.card.parents] == ["toy@tiny/gpt2:helpful"]
    assert json.loads((run.folder / "results.json").read_text())["choice"] == choice
    assert not (run.folder / choosing.KEPT).exists()


def test_a_pool_that_harms_is_left_alone(pools, tmp_path):
    run = tune(pools, tmp_path, "harmful")
    choice = run.prompt.card.hyperparameters["choice"]
    assert choice["chosen"] == "private"
    assert choice["loss"]["best-source"] > choice["loss"]["private"]
    assert "nothing is borrowed" in choice["because"]
    assert (run.prompt.card.method, run.prompt.card.parents) == ("soft-prompt", ())
    alone = api.tune(
        model=tiny("gpt2"), task=a_task(12), library=pools, out=tmp_path / "alone", **FEW
    )
    assert torch.equal(run.prompt.vectors, alone.prompt.vectors)


def test_a_wording_is_borrowed_from_as_well(pools, tmp_path, monkeypatch):
    """Without a pool too; the one that fits the training rows best, and its words alone."""
    task = replace(a_task(12), manual={"causal": ("{text} is", "good {text} it")})
    monkeypatch.setattr(choosing, "decide", lambda losses, *_: {"chosen": sorted(losses)[-1]})
    run = tune(pools, tmp_path, "", task=task, pool=[])
    card = run.prompt.card
    assert card.hyperparameters["choice"]["chosen"] == "wording"
    assert card.template in ("{text} {prompt:1}", "{prompt:1} {text} {prompt:1}")
    assert card.hyperparameters["init_text"] in task.manual["causal"]
    assert (card.hyperparameters["objective"], len(run.prompt)) == ("choices", card.length)
    with pytest.raises(ConfigError, match="nothing to borrow from"):
        tune(pools, tmp_path, "", task=task, pool=[], template="{text} {prompt}")


def test_it_is_decided_by_paired_differences():
    private = [1.0, 2.0, 3.0, 4.0]
    steady = [loss - 0.1 for loss in private]
    found = choosing.decide({"private": private, "steady": steady}, 1.0, "nats")
    assert found["chosen"] == "steady"
    assert found["judged"]["steady"]["gain"] == pytest.approx(0.1)
    lucky = [1.0, 2.0, 3.0, 0.0]  # better by 1 on average, with a standard error of 1
    assert (
        choosing.decide({"private": private, "lucky": lucky}, 1.01, "nats")["chosen"] == "private"
    )
    assert choosing.decide({"private": private, "lucky": lucky}, 0.99, "nats")["chosen"] == "lucky"
    both = {"private": private, "steady": steady, "lucky": lucky}
    assert choosing.decide(both, 1.01, "nats")["chosen"] == "steady"


def test_every_row_is_left_out_once_and_equal_inputs_together():
    task = a_task(13)  # 4 different inputs, several times
    parts = choosing.folds(task, 2, seed=0)
    assert sorted(row["text"] for part in parts for row in part) == sorted(
        row["text"] for row in task.rows("train")
    )
    inputs = [{row["text"] for row in part} for part in parts]
    assert not inputs[0] & inputs[1]
    assert all({row["label"] for row in part} == {0, 1} for part in parts)
    with pytest.raises(DataError, match="4 different training inputs"):
        choosing.folds(task, 5, seed=0)


def test_no_other_split_is_looked_at(pools, tmp_path):
    def forbidden():
        raise AssertionError("the choice looked at a split that is not for training")

    task = a_task(12)
    hidden = {"validation": Split(forbidden), "test": Split(forbidden)}
    task = replace(task, splits={**task.splits, **hidden})
    config = api.TuneConfig(
        model="tiny/gpt2",
        task="toy",
        method="auto",
        pool=["toy@tiny/gpt2:helpful"],
        out=tmp_path / "run",
        **FEW,
    )
    decided = choosing.choose(config, tiny("gpt2"), task, pools)
    assert decided.method == "spot"


def test_stopped_while_choosing_it_goes_on_where_it_was(pools, tmp_path, monkeypatch):
    model = tiny("gpt2")
    model.save(tmp_path / "gpt2")
    lines = [f"{row['text']} {n},{row['label']}" for n, row in enumerate(a_task(60).rows("train"))]
    (tmp_path / "toy.csv").write_text("\n".join(["text,label", *lines]))
    settings = {
        "model": str(tmp_path / "gpt2"),
        "task": str(tmp_path / "toy.csv"),
        "data": {"verbalizer": {"0": "bad", "1": "good"}},
        "few_shot": 6,
        "method": "auto",
        "pool": "toy@tiny/gpt2:helpful",
        "library": pools,
    } | FEW
    monkeypatch.chdir(tmp_path)
    whole = api.tune(**settings, out=tmp_path / "whole", report=None)
    with pytest.raises(StoppedError, match="4 of 6 tunings done"):
        api.tune(**settings, out=tmp_path / "parts", report=stopping(at=27))
    measured = json.loads((tmp_path / "parts" / choosing.KEPT).read_text())
    assert {name: len(parts) for name, parts in measured.items()} == {
        "private": 3,
        "best-source": 1,
    }
    seen = []

    def watching(now):
        seen.append(now)
        stopping(at=40)(now)

    with pytest.raises(StoppedError, match="Stopped at step 4 of 6"):
        api.resume(tmp_path / "parts", library=pools, report=watching)
    assert (seen[0].step, seen[-1].step, seen[-1].steps) == (25, 40, 42)
    resumed = api.tune(**settings, out=tmp_path / "parts", resume=True)
    assert torch.equal(resumed.prompt.vectors, whole.prompt.vectors)
    assert (
        resumed.prompt.card.hyperparameters["choice"]
        == (whole.prompt.card.hyperparameters["choice"])
    )


def test_what_is_wrong_is_said_before_anything_is_tuned(pools, tmp_path):
    for settings, message in (
        ({"transfer": {"candidates": "best-sorce"}}, "Did you mean 'best-source'"),
        ({"pool": []}, "nothing to borrow from"),
        ({"transfer": {"folds": 1}}, "folds"),
        ({"pool": "nothing*"}, "nothing fits"),
    ):
        with pytest.raises(ConfigError, match=message):
            tune(pools, tmp_path, "helpful", **settings)
    assert not (tmp_path / "run").exists()
    with pytest.raises(ConfigError, match="auto tunes 9 times"):
        api.plan(api.TuneConfig(model="mini/bert-s", task="sst2", method="auto", pool=["glue/*"]))


def test_without_a_pool_it_is_for_what_is_written(tmp_path):
    rows = [{"source": f"name : {n}", "target": f"It is {n} ."} for n in range(40)]
    (tmp_path / "toy.jsonl").write_text("\n".join(map(json.dumps, rows)))
    run = api.tune(
        **FEW | {"method": "auto", "few_shot": 6, "hidden": 4, "test_rows": 1},
        model=tiny("gpt2"),
        task=str(tmp_path / "toy.jsonl"),
        out=tmp_path / "run",
        library=Library(tmp_path / "library"),
    )
    card = run.prompt.card
    assert (card.kind, card.method) == ("prefix", "prefix:mlp")
    assert card.hyperparameters["choice"]["chosen"] == "prefix:mlp"
    assert run.outcome.steps == 6
