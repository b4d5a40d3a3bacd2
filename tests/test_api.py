"""The verbs end to end on tiny models in local folders: tune, keep, score, write, move, resume."""

import json

import pytest
import torch

from conftest import tiny
from promptgraft import api, prompts
from promptgraft.errors import ConfigError, DataError, PromptgraftError, WrongModelError
from promptgraft.library import Library
from promptgraft.models import FrozenModel

SETTINGS = {"steps": 6, "batch_size": 4, "evaluate_every": 3, "length": 3, "dtype": "float32"}
VERBALIZER = {"0": "bad", "1": "good"}


@pytest.fixture
def folder(tmp_path):
    """A place with two masked models, a causal one, and a data set of two columns."""
    for kind in ("bert", "albert", "gpt2"):
        model = tiny(kind)
        model.save(tmp_path / kind)
    lines = [f"{('the film', 'a story')[n % 2]} number {n},{n % 2}" for n in range(60)]
    (tmp_path / "reviews.csv").write_text("review,stars\n" + "\n".join(lines))
    tables = [
        {"source": f"name : {n} | food : French", "target": f"{n} is French ."} for n in range(60)
    ]
    (tmp_path / "tables.jsonl").write_text("\n".join(map(json.dumps, tables)))
    return tmp_path


def tune(folder, **settings):
    data = {"text": "review", "label": "stars", "verbalizer": VERBALIZER}
    chosen = {
        "model": str(folder / "bert"),
        "task": str(folder / "reviews.csv"),
        "data": data,
        "out": folder / "run",
    }
    return api.tune(library=Library(folder / "library"), **(SETTINGS | chosen | settings))


def test_the_mlp_may_be_fitted_to_the_initial_prompt(folder):
    run = tune(folder, method="prefix", module="mlp", hidden=4, fit=2, init="random")
    assert run.prompt.card.hyperparameters["fit"] == 2
    with pytest.raises(ConfigError, match="fit would mean nothing with method=prefix"):
        tune(folder, method="prefix", fit=2)


def test_samples_are_what_the_prompt_writes_at_the_last_evaluation(folder):
    """As many as asked for, each beside its references; of the last step here, which is kept."""
    tables = {"task": str(folder / "tables.jsonl"), "data": {}, "model": str(folder / "gpt2")}
    more = {"method": "prefix", "decoding": {"max_new_tokens": 5}, "evaluate_every": 6}
    run = tune(folder, **tables, **more, samples=3)
    lines = (run.folder / "samples.txt").read_text().splitlines()
    parts = [line.split(maxsplit=1) for line in lines if line]
    assert [name for name, *_ in parts] == ["Input", "Written", "Reference"] * 3
    inputs = [rest[0] for name, *rest in parts if name == "Input"]
    written = ["".join(rest) for name, *rest in parts if name == "Written"]
    model = FrozenModel.load(str(folder / "gpt2"), dtype="float32")
    assert written == model.generate(inputs, run.prompt, max_new_tokens=5)
    assert "samples" not in run.prompt.card.hyperparameters
    (run.folder / "samples.txt").unlink()
    tune(folder, **tables, **more, samples=0)
    assert not (run.folder / "samples.txt").exists()


def test_tune_writes_the_run_and_keeps_the_prompt(folder):
    run = tune(folder)
    assert run.name == "reviews@bert"
    names = {file.name for file in run.folder.iterdir()}
    assert names >= {
        "config.yaml",
        "prompt.safetensors",
        "prompt.json",
        "metrics.jsonl",
        "results.json",
        "README.md",
    }
    assert prompts.load(run.folder) == Library(folder / "library").get(run.name) == run.prompt
    card = run.prompt.card
    assert card.task == "reviews"
    assert card.verbalizer == VERBALIZER
    assert card.template == "{prompt} {text} {mask} ."
    assert card.metrics["test.accuracy"] == run.evaluation.scores["accuracy"]
    assert card.metrics["validation.accuracy"] == run.outcome.best_score
    assert card.hyperparameters["steps"] == SETTINGS["steps"]


def test_evaluate_from_the_library_gives_the_run_s_score(folder):
    run = tune(folder)
    again = api.evaluate(
        run.name,
        str(folder / "reviews.csv"),
        library=Library(folder / "library"),
        model=FrozenModel.load(str(folder / "bert"), dtype="float32"),
        data={"text": "review", "label": "stars", "verbalizer": VERBALIZER},
    )
    assert again.scores == run.evaluation.scores
    assert again.predictions == run.evaluation.predictions


def test_prefix_writes_texts(folder):
    run = tune(
        folder,
        model=str(folder / "gpt2"),
        task=str(folder / "tables.jsonl"),
        data={},
        method="prefix",
        module="mlp",
        hidden=8,
        report=(reports := []).append,
    )
    assert run.prompt.card.metrics["validation.loss"] == -run.outcome.best_score > 0
    assert (reports[-1].measure, reports[-1].score) == ("loss", run.outcome.best_score)
    last = json.loads((run.folder / "metrics.jsonl").read_text().splitlines()[-1])
    assert (last["measure"], last["validation"]) == ("loss", run.outcome.best_score)
    texts = api.generate(run.prompt, ["name : 3 | food : French"] * 2, max_new_tokens=4)
    assert len(texts) == 2
    assert texts[0] == texts[1]


def test_transfer_goes_to_the_library(folder):
    run = tune(folder)
    library = Library(folder / "library")
    moved, name = api.transfer(run.name, str(folder / "albert"), library=library)
    assert name == "reviews@albert"
    assert library.get(name) == moved
    assert moved.card.parents[0].content_hash == run.prompt.content_hash


def test_transfer_chosen_by_labels_says_so(folder):
    run, library = tune(folder), Library(folder / "library")
    moved, _ = api.transfer(
        run.name,
        str(folder / "albert"),
        select_on="dev",
        select_rows=6,
        task=str(folder / "reviews.csv"),
        library=library,
    )
    facts = moved.card.hyperparameters
    assert facts["labels_used"] is True
    assert facts["selected_on"]["rows"] == 6
    tried = facts["selected_on"]["tried"]
    best = max(tried, key=lambda one: one["score"])
    assert best["settings"] == facts["transfer"]
    with pytest.raises(ConfigError, match="chooses the method itself"):
        api.transfer(run.prompt, str(folder / "albert"), select_on="dev", method="linear")
    with pytest.raises(ConfigError, match="select_on=test would choose by the rows that"):
        api.transfer(run.prompt, str(folder / "albert"), select_on="test")


def test_refine_starts_where_the_transfer_ended(folder, monkeypatch):
    monkeypatch.chdir(folder)
    run, library = tune(folder), Library(folder / "library")
    moved, name = api.transfer(run.name, str(folder / "albert"), library=library)
    both = api.refine(
        name, 1, task=str(folder / "reviews.csv"), library=library, lr=1e-9, dtype="float32"
    )
    assert both.warm.name == "reviews@albert:refined"
    torch.testing.assert_close(both.warm.prompt.vectors, moved.vectors, rtol=0, atol=1e-6)
    assert both.warm.prompt.card.parents[0].content_hash == moved.content_hash
    assert not torch.allclose(both.cold.prompt.vectors, moved.vectors)
    kept = {entry.name for entry in library.list()}
    assert kept == {run.name, name, both.warm.name}
    assert both.picture.read_bytes().startswith(b"\x89PNG")


def test_the_task_to_go_on_with_is_asked_for_before_anything_is_done(folder, monkeypatch):
    monkeypatch.chdir(folder)
    run, library = tune(folder), Library(folder / "library")
    for go_on in (api.refine, lambda name, *a, **k: api.teach(name, *a, [run.name], **k)):
        with pytest.raises(ConfigError, match="on reviews, which is not built in: name"):
            go_on(run.name, 1, library=library)
    assert not (folder / "runs").exists()


def test_start_from_another_prompt(folder):
    first = tune(folder)
    second = tune(
        folder, init="prompt", init_prompt=first.name, steps=1, lr=1e-9, length=2, tag="again"
    )
    assert second.name == "reviews@bert:again"
    torch.testing.assert_close(second.prompt.vectors, first.prompt.vectors[:2], rtol=0, atol=1e-6)
    assert second.prompt.card.parents[0].relation == "initialised-from"


def test_a_kept_module_goes_on(folder):
    """Two halves with the module kept are one network; the values alone would start a new one."""
    settings = {"module": "mlp", "hidden": 8, "keep_module": True}
    first = tune(folder, **settings, tag="kept")
    state = prompts.load_module_state(Library(folder / "library").show(first.name).path)
    again = tune(
        folder, **settings, init="prompt", init_prompt=first.name, steps=1, lr=1e-9, tag="again"
    )
    after = prompts.load_module_state(Library(folder / "library").show(again.name).path)
    assert after.settings == state.settings
    for name, tensor in state.tensors.items():
        torch.testing.assert_close(after.tensors[name], tensor, rtol=0, atol=1e-6)


def test_plan_runs_nothing(folder):
    config = api.TuneConfig(
        model=str(folder / "gpt2"), task=str(folder / "tables.jsonl"), out=folder / "run", length=3
    )
    plan = api.plan(config)
    assert plan.trainable == 3 * tiny("gpt2").embedding_size
    assert plan.flops_per_step > 0
    assert not (folder / "run").exists()


def test_few_shot(folder):
    run = tune(folder, few_shot=2)
    rows = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    assert len(rows) == SETTINGS["steps"]
    assert run.prompt.card.data_hash != tune(folder, few_shot=3).prompt.card.data_hash


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"lenght": 3}, ConfigError, "length"),
        ({"init": "text"}, ConfigError, "init_text"),
        ({"init": "vocabulry"}, ConfigError, "Did you mean"),
        ({"module": "mpl"}, ConfigError, "Did you mean"),
        ({"model": "mini/nothing"}, PromptgraftError, "There is no mini/nothing"),
        ({"template": "{text} {mask}"}, ConfigError, "prompt"),
        ({"data": {}}, (ConfigError, DataError), "review"),
    ],
)
def test_errors_before_anything_runs(folder, settings, error, message):
    with pytest.raises(error, match=message):
        tune(folder, **settings)
    assert not (folder / "library").exists()


def test_wrong_model(folder):
    run = tune(folder)
    with pytest.raises(WrongModelError, match="promptgraft transfer"):
        api.evaluate(
            run.prompt,
            str(folder / "reviews.csv"),
            model=str(folder / "albert"),
            data={"text": "review", "label": "stars", "verbalizer": VERBALIZER},
        )


def test_a_prompt_is_scored_with_the_words_it_was_tuned_with(folder):
    words = {"0": "dull", "1": "great"}
    run = tune(folder, task="sst2", data={"verbalizer": words}, few_shot=2, test_rows=4)
    found = api.evaluate(run.prompt, rows=4)
    assert {word for row in found.references for word in row} <= {*words.values()}
    with pytest.raises(ConfigError, match="not built in"):
        api.evaluate(tune(folder).prompt)
