"""One prompt for several models: one comes out for each, as good alone as it was in the run."""

import os
import signal

import pytest
import torch

from conftest import tiny
from promptgraft import api
from promptgraft.api import SharedConfig, tune_shared
from promptgraft.cli import main
from promptgraft.errors import ConfigError, StoppedError
from promptgraft.library import Library
from promptgraft.training import read

KINDS = ("bert", "albert", "gpt2")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr("promptgraft.models.loading.CACHE", tmp_path / "cache")
    for kind in KINDS:
        tiny(kind).save(tmp_path / kind)
    lines = [f"{('the film', 'a story')[n % 2]} is {'far ' * (n % 5)},{n % 2}" for n in range(60)]
    (tmp_path / "films.csv").write_text("text,label\n" + "\n".join(lines))
    return tmp_path


def configured(folder, **settings):
    chosen = {
        "model": "+".join(str(folder / kind) for kind in KINDS),
        "task": str(folder / "films.csv"),
        "data": {"verbalizer": {"0": "bad", "1": "good"}},
        "out": folder / "run",
        "steps": 6,
        "length": 3,
        "batch_size": 6,
        "evaluate_every": 3,
        "lr": 0.05,
        "dtype": "float32",
    }
    return read(SharedConfig, None, chosen | settings)


def tune(folder, report=None, **settings):
    library = Library(folder / "library")
    return tune_shared(configured(folder, **settings), library=library, report=report)


def test_each_model_has_the_prompt_in_its_own_numbers(folder):
    run, library = tune(folder), Library(folder / "library")
    assert run.summary["validation"] == "accuracy"
    assert list(run.names.values()) == ["films@bert", "films@albert", "films@gpt2"]
    names = [str(folder / kind) for kind in KINDS]
    for model, name in run.names.items():
        card = library.get(name).card
        assert card.method == "soft-prompt:shared"
        assert card.hyperparameters["shared_with"] == [other for other in names if other != model]
        again = api.evaluate(name, str(folder / "films.csv"), model=model, library=library)
        assert again.predictions == run.evaluations[model].predictions
        assert card.metrics["test.accuracy"] == again.scores["accuracy"]
        assert (folder / "run" / model.replace("/", "-") / "prompt.json").is_file()
    moved, _ = api.transfer(list(run.names.values())[:2], to=names[2], library=library)
    assert moved.vectors.shape == (3, library.get("films@gpt2").vectors.shape[1])


def test_resumed_is_never_stopped(folder):
    def stop(report):
        if report.step == 3:
            os.kill(os.getpid(), signal.SIGINT)

    whole = tune(folder, out=folder / "whole")
    with pytest.raises(StoppedError):
        tune(folder, report=stop)
    resumed = api.resume(folder / "run", library=Library(folder / "library"))
    for model, prompt in whole.prompts.items():
        assert torch.equal(resumed.prompts[model].vectors, prompt.vectors)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model": "mini/bert-s"}, "several different models"),
        ({"model": "a/bert+b/bert"}, "several different models"),
        ({"method": "prefix", "init": "labels"}, "leave out method, init"),
        ({"noise": 1.0}, "leave out noise"),
        ({"pool": ["glue/*"]}, "leave out pool"),
        ({"wordz": 5}, "Did you mean 'words'"),
    ],
)
def test_errors_before_anything_runs(folder, settings, message):
    with pytest.raises(ConfigError, match=message):
        tune(folder, **settings)
    assert not (folder / "run").exists()


def test_on_the_command_line(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    line = ["tune", "films.csv", "-m", "./bert", "-m", "./albert", "--library", "kept"]
    line += ["data.verbalizer={0: bad, 1: good}", "steps=2", "length=2", "words=5"]
    with pytest.raises(SystemExit) as stopped:
        main(line)
    printed = capsys.readouterr().out
    assert stopped.value.code == 0
    assert "films@bert  accuracy" in printed
    assert "films@albert  accuracy" in printed
    assert ", with curves.png and results.json" in printed
    wrong = ((["--dry-run"], 2, "one task and one model"), (["sst2"], 1, "name one task"))
    for more, code, message in wrong:
        with pytest.raises(SystemExit) as stopped:
            main(line + more)
        assert stopped.value.code == code
        assert message in " ".join(capsys.readouterr().err.split())
