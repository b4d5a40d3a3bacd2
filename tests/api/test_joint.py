"""Several tasks tuned together: a prompt for each comes out, as good alone as it was in the run."""

import os
import signal

import pytest
import torch

from conftest import tiny
from pools import some_prompts
from promptgraft import api
from promptgraft.api.joint import JointConfig, tune_jointly
from promptgraft.errors import ConfigError, StoppedError
from promptgraft.library import Library
from promptgraft.models import FrozenModel
from promptgraft.training import read

SIZES = {"films": 60, "stars": 30}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A model, two data sets of different size, and a library with three sources."""
    monkeypatch.setattr("promptgraft.models.loading.CACHE", tmp_path / "cache")
    model = tiny("t5")
    model.save(tmp_path / "t5")
    for name, size in SIZES.items():
        lines = [f"{('the film', 'a story')[n % 2]} is {'far ' * n},{n % 2}" for n in range(size)]
        (tmp_path / f"{name}.csv").write_text("text,label\n" + "\n".join(lines))
    library = Library(tmp_path / "library")
    loaded = FrozenModel.load(str(tmp_path / "t5"), dtype="float32")
    for name, prompt in some_prompts(loaded).items():
        library.add(prompt, f"glue/{name}")
    return tmp_path


def configured(folder, **settings):
    names = [str(folder / f"{name}.csv") for name in SIZES]
    chosen = {
        "model": str(folder / "t5"),
        "task": "+".join(names),
        "data": {name: {"verbalizer": {"0": "bad", "1": "good"}} for name in names},
        "out": folder / "run",
        "method": "crosspt",
        "pool": "glue/*",
        "steps": 6,
        "batch_size": 4,
        "evaluate_every": 3,
        "dtype": "float32",
    }
    return read(JointConfig, None, chosen | settings)


def tune(folder, report=None, **settings):
    library = Library(folder / "library")
    return tune_jointly(configured(folder, **settings), library=library, report=report)


@pytest.mark.parametrize("method", ["crosspt", "mpt", "attempt"])
def test_each_task_has_its_own_prompt_and_score(folder, method):
    run = tune(folder, method=method, lr=0.05, task_prefix=True)
    assert run.summary["validation"] == "accuracy"
    library = Library(folder / "library")
    assert dict(run.names) == {"films": "films@t5", "stars": "stars@t5"}
    model = FrozenModel.load(str(folder / "t5"), dtype="float32")
    for task, name in run.names.items():
        card = library.get(name).card
        assert card.template == f"{{prompt}} {task}: {{text}}"
        assert [parent.name for parent in card.parents] == [f"glue/{t}@tiny" for t in "abc"]
        again = api.evaluate(name, str(folder / f"{task}.csv"), model=model, library=library)
        assert again.predictions == run.evaluations[task].predictions
        assert (folder / "run" / task / "prompt.json").is_file()
    films, stars = (library.get(name).vectors for name in run.names.values())
    assert not torch.equal(films, stars)


def test_shares_of_the_tasks(folder):
    rows = tune(folder).summary["rows_seen"]
    assert rows["films"] > 1.5 * rows["stars"]
    rows = tune(folder, sampling="uniform").summary["rows_seen"]
    assert rows["films"] == rows["stars"]


def test_resumed_is_never_stopped(folder):
    def stop(report):
        if report.step == 3:
            os.kill(os.getpid(), signal.SIGINT)

    whole = tune(folder, out=folder / "whole")
    with pytest.raises(StoppedError):
        tune(folder, report=stop)
    config = read(JointConfig, folder / "run" / "config.yaml", {"out": folder / "run"})
    resumed = tune_jointly(config, library=Library(folder / "library"), resume=True)
    for task, prompt in whole.prompts.items():
        assert torch.equal(resumed.prompts[task].vectors, prompt.vectors)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"task": "films.csv"}, "several different tasks"),
        ({"task": "films.csv+a/films.csv"}, "several different tasks"),
        ({"method": "spot"}, "one task at a time; several together: attempt, crosspt, mpt"),
        ({"method": "prefix", "pool": []}, "one task at a time"),
        ({"objective": "choices"}, "several label words"),
        ({"labels": "numbers"}, "labels"),
        ({"data": {"reviews.csv": {"text": "review"}}}, "none of the tasks"),
        (
            {"tag": "a", "pool": "glue/a@tiny", "transfer": {"configuration": "PI"}},
            "0 source prompts",
        ),
    ],
)
def test_errors_before_anything_runs(folder, settings, message):
    with pytest.raises(ConfigError, match=message):
        tune(folder, **settings)
    assert not (folder / "run").exists()
