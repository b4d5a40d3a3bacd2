"""The built-in tasks: the samples in the package, and a full data folder where there is one."""

import gzip
import json
import os
import string

import pytest

from promptgraft import tasks
from promptgraft.errors import DataError
from promptgraft.tasks import builtin

SIZES = {
    "agnews": {"train": 5600, "validation": 800, "test": 1200},
    "e2e": {"train": 20000, "validation": 547, "test": 630},
    "sst2": {"train": 6916, "validation": 872, "test": 1821},
}
SPECIAL = {"prompt", "mask", "target"}
FULL = "PROMPTGRAFT_DATA" in os.environ


@pytest.fixture
def bare(monkeypatch):
    monkeypatch.delenv("PROMPTGRAFT_DATA", raising=False)


def check(name):
    """Every split is read and checked; templates name fields that the rows have."""
    task = tasks.load(name)
    assert task.notes == ()
    for split in task.splits:
        for row in task.rows(split):
            assert task.answer(row)
            assert task.references(row)
    fields = task.rows("validation")[0].keys() | SPECIAL
    worded = [template for templates in task.manual.values() for template in templates]
    assert worded
    for template in (*task.templates.values(), *worded):
        assert {field for _, field, _, _ in string.Formatter().parse(template) if field} <= fields
    assert all("{prompt" in template for template in task.templates.values())
    assert not any("{prompt" in template for template in worded)
    if task.kind == "classification":
        assert {tasks.label_key(row["label"]) for row in task.rows("validation")} == set(
            task.verbalizer
        )
        assert all(len(task.manual[family]) >= 3 for family in tasks.FAMILIES)
    return task


@pytest.mark.usefixtures("bare")
def test_the_package_has_three_samples():
    assert tasks.names() == SIZES
    files = [file for file in builtin.SAMPLES.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) < 3_000_000


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize("name", SIZES)
def test_samples(name):
    task = check(name)
    assert {split: len(task.rows(split)) for split in task.splits} == SIZES[name]


@pytest.mark.usefixtures("bare")
def test_sst2_reads_as_expected():
    task = tasks.load("sst2")
    row = task.rows("train")[0]
    assert row["text"].startswith("a stirring , funny and finally transporting")
    assert task.answer(row) == "positive"


@pytest.mark.usefixtures("bare")
def test_rows_are_read_only_when_asked_for():
    task = tasks.load("e2e")
    assert not any("rows" in vars(split) for split in task.splits.values())


def test_a_data_folder_with_sets_of_its_own(tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "train.csv").write_text("source,target\n" + "a,b\nc,d\ne,f\n")
    (tmp_path / "mine" / "dev.csv").write_text("source,target\na,b\n")
    (tmp_path / "corpus").mkdir()
    monkeypatch.setenv("PROMPTGRAFT_DATA", str(tmp_path))
    assert tasks.names() == {"mine": {"train": 3, "validation": 1}, **SIZES}
    assert tasks.load("mine").kind == "generation"
    monkeypatch.setenv("PROMPTGRAFT_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match="nowhere, which is not a folder"):
        tasks.load("mine")


@pytest.mark.usefixtures("bare")
def test_scores_of_stsb_as_numbers_and_in_thirds(tmp_path, monkeypatch):
    scores = (0.25, 3, 4.87)
    rows = [json.dumps({"text_a": "a", "text_b": "b", "label": score}) + "\n" for score in scores]
    for split in ("train", "validation"):
        (tmp_path / "stsb").mkdir(exist_ok=True)
        (tmp_path / "stsb" / f"{split}.jsonl").write_text("".join(rows))
    with pytest.raises(DataError, match=r"a folder that holds stsb/train\.jsonl"):
        tasks.load("stsb2")
    monkeypatch.setenv("PROMPTGRAFT_DATA", str(tmp_path))
    for name, expected in (("stsb", ["0.2", "3.0", "4.9"]), ("stsb2", ["low", "medium", "high"])):
        task = tasks.load(name)
        assert task.name == name
        assert [task.answer(row) for row in task.rows("train")] == expected
    assert tasks.names()["stsb2"] == {"train": 3, "validation": 3}


def test_lama(tmp_path, monkeypatch):
    for name, lines in {
        "lama/P19/train.jsonl.gz": '{"sub_label": "Ada", "obj_label": "London"}\n' * 9,
        "lama/P19/validation.jsonl.gz": '{"sub_label": "Bo", "obj_label": "Oslo"}\n',
        "lama/meta/common_vocab_cased.txt.gz": "London\nOslo \nthe\n",
        "lama/meta/LAMA_relations.jsonl.gz": '{"relation": "P19", "template": "[X] is from [Y] ."}',
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(gzip.compress(lines.encode()))
    monkeypatch.setenv("PROMPTGRAFT_DATA", str(tmp_path))
    task = tasks.load("lama/P19")
    assert (task.name, task.kind, task.target) == ("lama/P19", "cloze", "obj_label")
    assert task.vocabulary == ("London", "Oslo", "the")
    assert task.verbalizer is None
    assert task.answer(task.rows("validation")[0]) == "Oslo"
    assert task.template("masked") == "{sub_label} {prompt:5} {mask} ."
    assert task.manual["masked"] == ("{sub_label} is from {mask} .",)
    assert task.manual["causal"] == ("{sub_label} is from",)


@pytest.mark.skipif(not FULL, reason="needs the full data: set PROMPTGRAFT_DATA")
@pytest.mark.parametrize("name", [name for name in builtin._declared() if tasks.known(name)])
def test_full_data(name):
    check(name)


@pytest.mark.skipif(not FULL, reason="needs the full data: set PROMPTGRAFT_DATA")
def test_full_lama():
    relations = [name for name in builtin._folders() if name.startswith("lama/")]
    assert len(relations) == 41
    vocabulary = set(tasks.load(relations[0]).vocabulary)
    for name in relations:
        task = tasks.load(name)
        assert {task.answer(row) for row in task.rows("test")} <= vocabulary
