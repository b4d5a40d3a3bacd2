"""The comparison of methods that have a few examples, end to end on a tiny model."""

import csv

import pytest

from conftest import tiny
from promptgraft import tasks
from promptgraft.cli import main
from promptgraft.studies import few_examples
from promptgraft.studies.few_examples import Few
from promptgraft.studies.tunings import Tunings
from writing import put_rows

COUNTS = {"train": 60, "validation": 8, "test": 8}


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A model bert and rows of some tasks, each label in turn; yelp_polarity has no test rows."""
    tiny("bert").save(tmp_path / "bert")
    for task in ("sst2", "mr", "imdb", "yelp_polarity"):
        for split, count in COUNTS.items():
            if (task, split) == ("yelp_polarity", "test"):
                continue
            rows = [{"text": f"a good film {n} of {split}", "label": n % 2} for n in range(count)]
            put_rows(tmp_path / "data" / task / f"{split}.jsonl.gz", rows)
    monkeypatch.setenv("PROMPTGRAFT_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(few_examples, "TARGETS", ("sst2", "imdb"))
    monkeypatch.setattr(few_examples, "SOURCES", ("mr",))
    quick = {"steps": 1, "batch_size": 4, "length": 2, "samples": 0}
    monkeypatch.setattr(few_examples, "USUAL", {**quick, "test_rows": 6})
    monkeypatch.setattr(few_examples, "SOURCE", quick)
    monkeypatch.setattr(few_examples, "TRIALS", (100,))
    ways = {name: few_examples.WAYS[name] for name in ("prompt tuning", "fine-tuning", "auto")}
    monkeypatch.setattr(few_examples, "WAYS", ways)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_writes_its_page_and_goes_on_where_it_was(place, capsys, monkeypatch):
    words = [
        "study",
        "few-examples",
        "-m",
        "./bert",
        "--seeds",
        "2",
        "--part",
        "rates",
        "--part",
        "16",
    ]
    for again in (False, True):
        if again:
            monkeypatch.setattr(Tunings, "_measured", None)  # nothing is measured again
        with pytest.raises(SystemExit) as stopped:
            main(words)
        assert stopped.value.code == 0, capsys.readouterr().err
    folder = place / "studies" / "few-examples"
    assert "16 rows, ./bert" in (folder / "README.md").read_text()
    with (folder / "rates.csv").open() as stream:
        assert [line["rate"] for line in csv.DictReader(stream)] == [
            *("0.01", "0.03", "0.1"), *("3e-05", "0.0001", "0.0003"),
        ]  # fmt: skip
    with (folder / "methods-16.csv").open() as stream:
        found = {line["method"]: line for line in csv.DictReader(stream)}
    assert set(found) == {"prompt tuning", "fine-tuning", "auto"}
    assert found["prompt tuning"]["minus prompt tuning"] == "0.0 [0.0, 0.0]"


def test_what_a_run_is_given(place):
    whole = tasks.load("sst2")
    given, trial = Few("sst2", 3, 100).load(), Few("sst2", 3, 100, trial=True).load()
    assert "validation" not in given.splits
    assert given.rows("train") == trial.rows("train") == whole.few_shot(3, 100).rows("train")
    assert given.rows("test") == whole.rows("test")
    outside = trial.rows("test")
    assert len(outside) >= 6
    assert all(row in whole.rows("train") for row in outside)
    assert not any(row in given.rows("train") for row in outside)
    assert Few("yelp_polarity", 3).load().rows("test") == tasks.load("yelp_polarity").rows(
        "validation"
    )
