"""From a library's source prompts to a prompt for a new task, through `tune`."""

import json
import signal

import pytest
import torch
import yaml
from safetensors.torch import load_file

from conftest import tiny
from pools import some_prompts
from promptgraft import api
from promptgraft.api import exchange
from promptgraft.errors import ConfigError, PromptgraftError, StoppedError, WrongModelError
from promptgraft.library import Library
from promptgraft.models import FrozenModel

SETTINGS = {"steps": 6, "batch_size": 4, "evaluate_every": 3, "dtype": "float32"}
VERBALIZER = {"0": "bad", "1": "good"}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A model, a data set, and a library with three sources for it and one of another model."""
    monkeypatch.setattr("promptgraft.models.loading.CACHE", tmp_path / "cache")
    model = tiny("bert")
    model.save(tmp_path / "bert")
    lines = [f"{('the film', 'a story')[n % 2]} number {n},{n % 2}" for n in range(60)]
    (tmp_path / "reviews.csv").write_text("review,stars\n" + "\n".join(lines))
    library = Library(tmp_path / "library")
    loaded = FrozenModel.load(str(tmp_path / "bert"), dtype="float32")
    for name, prompt in some_prompts(loaded).items():
        library.add(prompt, f"glue/{name}")
    (other,) = some_prompts(tiny("t5"), 1).values()
    library.add(other, "glue/a@other")
    return tmp_path


def tune(folder, method, **settings):
    data = {"text": "review", "label": "stars", "verbalizer": VERBALIZER}
    chosen = {
        "model": str(folder / "bert"),
        "task": str(folder / "reviews.csv"),
        "data": data,
        "out": folder / "run",
        "method": method,
        "pool": "glue/*",
    }
    return api.tune(library=Library(folder / "library"), **(SETTINGS | chosen | settings))


def stopped_at(step):
    def stop(report):
        if report.step == step:
            signal.raise_signal(signal.SIGINT)

    return stop


@pytest.mark.parametrize("method", ["spot", "crosspt", "mpt"])
def test_a_prompt_from_a_pool_is_a_prompt_like_any_other(folder, method):
    run = tune(folder, method, transfer={"probe_steps": 2} if method == "spot" else {})
    library = Library(folder / "library")
    assert library.get(run.name) == run.prompt
    card = run.prompt.card
    assert (card.kind, card.length, card.method) == ("soft-prompt", 3, method)
    assert [parent.name for parent in card.parents] == [f"glue/{t}@tiny" for t in "abc"]
    again = api.evaluate(
        run.name,
        str(folder / "reviews.csv"),
        model=FrozenModel.load(str(folder / "bert"), dtype="float32"),
        library=library,
        data={"text": "review", "label": "stars", "verbalizer": VERBALIZER},
    )
    assert again.scores == run.evaluation.scores


@pytest.mark.parametrize(
    ("method", "lr", "settings"),
    [
        ("ptg", 0.01, {"balance": 0.1}),
        ("attempt", 0.01, {"temperature": 10}),
        ("dept", 0.1, {"rank": 2, "positions": 4, "lr_change": 0.1}),
    ],
)
def test_what_no_plain_value_holds_comes_back_from_the_library(folder, method, lr, settings):
    """By name and by folder the module answers, not the plain value that is listed for it."""
    run = tune(folder, method, lr=lr, transfer=settings)
    library = Library(folder / "library")
    assert library.get(run.name) == run.prompt == run.adaptive.usual
    model = FrozenModel.load(str(folder / "bert"), dtype="float32")
    data = {"text": "review", "label": "stars", "verbalizer": VERBALIZER}
    rows = [{"text": "the film number 3"}, {"text": "a story number 4"}]
    expected = model.choice_scores(rows, ["bad", "good"], run.adaptive)
    for name in (run.name, str(run.folder)):
        value = api.names.resolve(name, library)
        found = api.names.runnable(name, value, model, library)
        torch.testing.assert_close(model.choice_scores(rows, ["bad", "good"], found), expected)
    assert not torch.allclose(model.choice_scores(rows, ["bad", "good"], run.prompt), expected)
    again = api.evaluate(
        run.name, str(folder / "reviews.csv"), model=model, library=library, data=data
    )
    assert again.scores == run.evaluation.scores
    for leave in (
        lambda: exchange.export(run.name, folder / "out", model=model, library=library),
        lambda: api.transfer(run.name, model, sources=model, tag="moved", library=library),
    ):
        with pytest.raises(PromptgraftError, match=f"of the method {method}, which no"):
            leave()


def test_nothing_takes_the_place_of_what_it_is_made_of(folder):
    run = tune(folder, "spot")
    library = Library(folder / "library")
    model = FrozenModel.load(str(folder / "bert"), dtype="float32")
    with pytest.raises(ConfigError, match=f"would replace its source {run.name}"):
        tune(folder, "spot", pool=[run.name])
    with pytest.raises(ConfigError, match=f"would replace its source {run.name}"):
        api.transfer(run.name, model, sources=model, library=library)
    assert library.get(run.name) == run.prompt
    assert tune(folder, "spot", pool=[run.name], tag="next").name == f"{run.name}:next"


def test_a_pool_of_prefixes_makes_a_prefix(folder):
    library = Library(folder / "library")
    loaded = FrozenModel.load(str(folder / "bert"), dtype="float32")
    for name, prompt in some_prompts(loaded, kind="prefix").items():
        library.add(prompt, f"deep/{name}")
    run = tune(folder, "ptg", pool="deep/*", transfer={"heads": 4})
    assert run.prompt.card.kind == "prefix"
    assert run.adaptive is not None
    assert library.get(run.name) == run.prompt


def test_a_task_learns_from_its_own_source(folder):
    settings = {"start": "mean", "distil": 0.9}
    with pytest.raises(ConfigError, match="source prompts of the task 'reviews'"):
        tune(folder, "mpt", transfer=settings)
    first = tune(folder, "crosspt", tag="source")
    run = tune(folder, "mpt", pool=f"{first.name},glue/a@tiny", transfer=settings)
    assert len(run.prompt.card.parents) == 2


def test_the_rates_of_the_method_are_in_force(folder):
    tune(folder, "crosspt", warmup=0, schedule="constant")
    lines = [json.loads(x) for x in (folder / "run" / "metrics.jsonl").read_text().splitlines()]
    assert {line["lr"] for line in lines} == {0.02}


def test_resuming_takes_the_same_pool_though_the_library_has_grown(folder, monkeypatch):
    whole = tune(folder, "crosspt", out=folder / "whole").prompt
    with pytest.raises(StoppedError):
        tune(folder, "crosspt", report=stopped_at(3))
    written = yaml.safe_load((folder / "run" / "config.yaml").read_text())
    assert written["pool"] == [f"glue/{t}@tiny" for t in "abc"]
    library = Library(folder / "library")
    library.add(library.get("glue/a@tiny"), "glue/new@tiny")
    assert torch.equal(api.resume(folder / "run", library=library).prompt.vectors, whole.vectors)


def test_a_model_that_is_tuned_too_lies_beside_its_prompt(folder):
    settings = {"method": "ptg", "transfer": {"backbone": "tuned", "lr_backbone": 0.01}}
    run = tune(folder, **settings)
    assert run.name == str(run.folder)
    assert len(Library(folder / "library").list()) == 4  # the sources
    assert (run.folder / "model" / "model.safetensors").exists()
    assert run.prompt.card.base.name == str(run.folder / "model")
    task, data = str(folder / "reviews.csv"), {"text": "review", "label": "stars"}
    again = api.evaluate(run.name, task, data=data | {"verbalizer": VERBALIZER})
    assert again.predictions == run.evaluation.predictions
    with pytest.raises(WrongModelError, match=r"was made for .*model"):
        api.evaluate(run.prompt, task, model=str(folder / "bert"))
    with pytest.raises(ConfigError, match="Leave the tag out"):
        tune(folder, **settings, tag="mine", out=folder / "other")
    with pytest.raises(StoppedError):
        tune(folder, **settings, out=folder / "parts", report=stopped_at(4))
    resumed = api.resume(folder / "parts", library=Library(folder / "library"))
    one, other = (load_file(r.folder / "model" / "model.safetensors") for r in (run, resumed))
    assert all(torch.equal(weight, other[name]) for name, weight in one.items())
    assert torch.equal(run.prompt.vectors, resumed.prompt.vectors)
    start = load_file(folder / "bert" / "model.safetensors")
    assert not any(torch.equal(weight, start[name]) for name, weight in one.items())


def test_a_pattern_never_takes_the_run_s_own_result(folder):
    first = tune(folder, "crosspt", pool="*")
    second = tune(folder, "crosspt", pool="*")
    assert second.name == first.name
    assert second.prompt == first.prompt


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"pool": "glue/z*"}, ConfigError, "nothing fits"),
        ({"pool": "*@other"}, ConfigError, "those that fit are for tiny/t5"),
        ({"pool": "glue/a@other"}, WrongModelError, "promptgraft transfer"),
        ({"pool": []}, ConfigError, "name a pool"),
        ({"length": 5}, ConfigError, "wanted is a soft-prompt of 5"),
        ({"method": "crospt"}, ConfigError, "Did you mean 'crosspt'"),
        ({"method": "prefix"}, ConfigError, "starts from no pool"),
        ({"transfer": {"configuraton": "P"}}, ConfigError, "Did you mean 'configuration'"),
    ],
)
def test_errors_before_anything_runs(folder, settings, error, message):
    with pytest.raises(error, match=message):
        tune(folder, **{"method": "crosspt"} | settings)
    assert not (folder / "run").exists()
