"""Data sets through the package `datasets`: local folders, label names, no hub, no package."""

import json
import sys
import time

import datasets
import pytest

from promptgraft import tasks
from promptgraft.errors import DataError
from promptgraft.tasks import hub


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()


def saved(path, labels):
    """A data set with named labels as `save_to_disk` writes it; split -> labels as numbers."""
    features = datasets.Features(
        {
            "sentence": datasets.Value("string"),
            "label": datasets.ClassLabel(names=["bad", "good"]),
        }
    )
    splits = {
        split: datasets.Dataset.from_dict(
            {"sentence": [f"{split} {i}" for i in range(len(numbers))], "label": numbers},
            features=features,
        )
        for split, numbers in labels.items()
    }
    datasets.DatasetDict(splits).save_to_disk(str(path))


def test_label_names_become_words_and_hidden_labels_no_split(tmp_path):
    saved(tmp_path / "set", {"train": [0, 1, 1], "validation": [1], "test": [-1, -1]})
    task = tasks.load(f"hub:{tmp_path / 'set'}", text="sentence")
    assert (task.name, list(task.splits)) == ("set", ["train", "validation"])
    assert task.verbalizer == {"bad": "bad", "good": "good"}
    assert [task.answer(row) for row in task.rows("train")] == ["bad", "good", "good"]


def test_a_folder_of_files(tmp_path):
    for split, count in (("train", 4), ("dev", 2)):
        rows = [{"source": f"{split} {i}", "target": "t"} for i in range(count)]
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    task = tasks.load(f"hub:{tmp_path}")
    assert [len(task.rows(split)) for split in ("train", "validation")] == [4, 2]


@pytest.mark.parametrize(
    ("name", "row", "source", "references"),
    [
        (
            "e2e",
            {
                "meaning_representation": "name[Aromi], eatType[pub], priceRange[£20-25]",
                "human_reference": "Aromi is a pub .",
            },
            "name : Aromi | Type : pub | price : £ 20 - 25",
            ["Aromi is a pub ."],
        ),
        (
            "webnlg",
            {
                "category": "Airport",
                "modified_triple_sets": {"mtriple_set": [["Aarhus | country | Denmark"]]},
                "lex": {"comment": ["good", "toFix"], "text": ["In Denmark.", "Denmark it."]},
            },
            " | Aarhus : country : Denmark",
            ["In Denmark.", "Denmark it."],
        ),
        (
            "dart",
            {
                "tripleset": [["Jeff", "TITLE", "Episode"], ["Jeff", "AGE", "30"]],
                "annotations": {"source": ["a", "b"], "text": ["Jeff, 30.", "It is Jeff."]},
            },
            "Jeff : title : Episode | Jeff : age : 30",
            ["Jeff, 30.", "It is Jeff."],
        ),
        (
            "xsum",
            {"document": "One line.\nAnother.", "summary": "Lines.", "id": "17"},
            "One line. Another.",
            ["Lines."],
        ),
    ],
)
def test_rows_of_published_sets_as_the_hub_has_them(tmp_path, name, row, source, references):
    whole = datasets.Dataset.from_list([row])
    splits = dict.fromkeys(("train", "validation", "test"), whole)
    datasets.DatasetDict(splits).save_to_disk(str(tmp_path / "set"))
    task = tasks.load(f"hub:{tmp_path / 'set'}", format=name)
    (tested,) = task.rows("test")
    assert (tested["source"], task.references(tested)) == (source, references)
    assert task.rows("train")[0]["target"] == references[0]


def test_columns_are_named_in_errors(tmp_path):
    saved(tmp_path / "set", {"train": [0, 1]})
    with pytest.raises(DataError, match=r"hub:.*set, train has the columns sentence, label"):
        tasks.load(f"hub:{tmp_path / 'set'}")


def test_no_hub_is_said_at_once(monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    from huggingface_hub import HfApi

    def refuse(*_, **__):
        raise OSError("no route to host")

    monkeypatch.setattr(HfApi, "dataset_info", refuse)
    start = time.monotonic()
    with pytest.raises(DataError, match=r"cannot be reached for a/b \(no route.*HF_HUB_OFFLINE"):
        tasks.load("hub:a/b")
    assert time.monotonic() - start < 5


def test_neither_folder_nor_name(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    with pytest.raises(DataError, match="is neither a folder nor a name"):
        tasks.load(f"hub:{tmp_path / 'nothing'}")


def test_without_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DataError, match=r"pip install 'promptgraft\[hub\]'"):
        hub.hub_sources("glue", "sst2")
