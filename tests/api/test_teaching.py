"""Answers in place of labels: another model's prompt teaches, and nobody looks at a label."""

from dataclasses import replace

import pytest
import torch

from conftest import tiny
from promptgraft import api, tasks
from promptgraft.api.config import TuneConfig
from promptgraft.api.joint import JointConfig
from promptgraft.api.teaching import taught
from promptgraft.errors import ConfigError, DataError
from promptgraft.library import Library
from promptgraft.models import FrozenModel
from promptgraft.tasks.task import Split
from promptgraft.training import predict, read
from toy import a_task

FEW = {"steps": 4, "batch_size": 4, "evaluate_every": 2, "length": 3, "dtype": "float32"}


@pytest.fixture
def place(tmp_path):
    """Two masked models and a causal one in folders, and a library with a prompt of the first."""
    for kind in ("bert", "albert", "gpt2"):
        model = tiny(kind)
        model.save(tmp_path / kind)
    api.tune(
        model=FrozenModel.load(str(tmp_path / "bert"), dtype="float32"),
        task=films(),
        library=Library(tmp_path / "library"),
        out=tmp_path / "source",
        **FEW,
    )
    return tmp_path


def films():
    """The toy task with rows that differ, in three splits."""
    rows = [{**row, "text": f"{row['text']} {n}"} for n, row in enumerate(a_task(60).rows("train"))]
    parts = {"train": rows[:40], "validation": rows[40:50], "test": rows[50:]}
    splits = {split: Split.of(own) for split, own in parts.items()}
    return replace(a_task(), splits=splits)


def turned(task, *splits):
    """The task with every label of some splits turned into the other."""
    rows = {s: [{**row, "label": 1 - row["label"]} for row in task.rows(s)] for s in splits}
    given = {split: Split.of(own) for split, own in rows.items()}
    return replace(task, splits={**task.splits, **given})


def teach(place, task, **settings):
    library = Library(place / "library")
    return api.tune(
        model=str(place / "albert"),
        task=task,
        library=library,
        out=place / "run",
        **FEW | {"teachers": ["toy@bert"], "steps": 8} | settings,
    )


def test_what_is_learned_are_the_answers_of_the_teacher(place):
    library, task = Library(place / "library"), films()
    config = read(TuneConfig, None, {"model": "m", "task": "toy", "teachers": "toy@bert"} | FEW)
    answered, parents = taught(task, config, library)
    model, prompt = FrozenModel.load(str(place / "bert"), dtype="float32"), library.get("toy@bert")
    for split in ("train", "validation"):
        rows = answered.rows(split)
        assert [task.answer(row) for row in rows] == predict(model, task, rows, prompt)
    assert len(answered.rows("train")) == 4 * 4  # what the run looks at
    assert answered.splits["test"] is task.splits["test"]
    assert [(one.name, one.relation) for one in parents] == [("toy@bert", "taught-by")]


def test_no_label_is_looked_at(place):
    one = teach(place, films())
    other = teach(place, turned(films(), "train", "validation"))
    assert torch.equal(one.prompt.vectors, other.prompt.vectors)
    assert one.outcome.best_score == other.outcome.best_score
    labelled = teach(place, films(), teachers=[])
    assert not torch.equal(one.prompt.vectors, labelled.prompt.vectors)


def test_a_moved_prompt_is_taught_by_where_it_came_from(place, monkeypatch):
    monkeypatch.chdir(place)
    monkeypatch.setattr(tasks, "load", lambda name, **settings: films())
    library = Library(place / "library")
    moved, name = api.transfer("toy@bert", str(place / "albert"), library=library)
    run = api.teach(name, 1, ["toy@bert"], task="toy", library=library, lr=1e-9, dtype="float32")
    assert run.name == "toy@albert:taught"
    torch.testing.assert_close(run.prompt.vectors, moved.vectors, rtol=0, atol=1e-6)
    assert [parent.relation for parent in run.prompt.card.parents] == [
        "initialised-from",
        "taught-by",
    ]
    assert run.prompt.card.hyperparameters["teachers"] == ["toy@bert"]


def test_texts_are_what_the_teacher_writes(place):
    rows = [{"source": f"name : {n}", "target": "t", "references": ["t", "r"]} for n in range(8)]
    task = replace(tasks.load("e2e"), splits={"train": Split.of(rows), "test": Split.of(rows)})
    library = Library(place / "library")
    model = FrozenModel.load(str(place / "gpt2"), dtype="float32")
    prefix = {"method": "prefix", "decoding": {"max_new_tokens": 4}, "test_rows": 1}
    source = api.tune(model=model, task=task, library=library, out=place / "texts", **FEW | prefix)
    config = read(TuneConfig, None, {"model": "m", "task": "e2e", "teachers": source.name} | prefix)
    answered, _ = taught(task, config, library)
    written = predict(model, task, answered.rows("train"), source.prompt, max_new_tokens=4)
    assert [row["target"] for row in answered.rows("train")] == written
    assert not any("references" in row for row in answered.rows("train"))


def test_a_word_that_is_no_label_is_an_error():
    with pytest.raises(DataError, match="'perhaps' stands for no label of toy; the words are"):
        films().answered({"label": 0}, "perhaps")


def test_what_needs_labels_is_refused(place):
    for settings in ({"few_shot": 4}, {"method": "auto"}, {"method": "fine-tuning"}):
        with pytest.raises(ConfigError, match="teachers answer in place of labels"):
            read(TuneConfig, None, {"model": "m", "task": "t", "teachers": "a"} | settings)
    with pytest.raises(ConfigError, match="one task at a time"):
        read(JointConfig, None, {"model": "m", "task": "a+b", "teachers": "a"})
    numbers = replace(films(), kind="regression", verbalizer=None, metrics=("pearson",), report=())
    config = read(TuneConfig, None, {"model": "m", "task": "t", "teachers": "toy@bert"})
    with pytest.raises(ConfigError, match="toy asks for numbers"):
        taught(numbers, config, Library(place / "library"))
