"""The studies of CrossPT and PTG end to end on a tiny model."""

import csv

import pytest

from conftest import tiny
from promptgraft.cli import main
from promptgraft.studies import Setting, crosspt, crosspt_figures, ptg
from promptgraft.studies.crosspt import CrossPT
from promptgraft.studies.ptg import PTG
from promptgraft.studies.tunings import Data, Tunings
from writing import put_rows

QUICK = {
    "steps": 1, "batch_size": 4, "evaluate_every": 1, "evaluate_rows": 2, "test_rows": 4,
    "samples": 0,
}  # fmt: skip
PAIRS, SINGLE = ("mrpc", "qqp"), ("sst2", "cola")
WRITTEN = ("xsum", "personachat", "dailydialog", "squad_qg")


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A model t5 and rows of some tasks, each label in turn."""
    tiny("t5").save(tmp_path / "t5")
    counts = {"train": 40, "validation": 8, "test": 8}

    def put(task, row):
        for split, count in counts.items():
            rows = [row(n) for n in range(count)]
            put_rows(tmp_path / "data" / task / f"{split}.jsonl.gz", rows)

    for task in PAIRS:
        put(task, lambda n: {"text_a": f"film {n}", "text_b": "a film", "label": n % 2})
    for task in SINGLE:
        put(task, lambda n: {"text": f"a good film {n}", "label": n % 2})
    for task in WRITTEN:
        put(task, lambda n: {"source": f"a good film {n}", "target": "good film"})
    monkeypatch.setenv("PROMPTGRAFT_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(crosspt, "GROUPS", {"glue": (*PAIRS, *SINGLE), "others": PAIRS})
    monkeypatch.setattr(crosspt, "EPOCHS", 0)
    monkeypatch.setattr(crosspt, "LONGER", 0)
    monkeypatch.setattr(crosspt, "SOURCE", {"steps": 1, "batch_size": 4, "length": 2})
    monkeypatch.setattr(crosspt, "LENGTH", 2)
    monkeypatch.setattr(ptg, "SOURCE", {"length": 2, "steps": 1})
    monkeypatch.setattr(ptg, "MINIATURE", {**QUICK, "decoding": {"max_new_tokens": 3}})
    kinds = {"summary": ("xsum",), "question": ("squad_qg",),
             "dialogue": ("personachat", "dailydialog")}  # fmt: skip
    monkeypatch.setattr(ptg, "KINDS", kinds)
    monkeypatch.setattr(ptg, "SIZES", (6,))
    monkeypatch.setattr(ptg, "RATES", dict.fromkeys(ptg.METHODS, 0.01))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ran(words, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(words)
    assert stopped.value.code == 0, capsys.readouterr().err


def test_crosspt_writes_its_page_and_goes_on_where_it_was(place, capsys, monkeypatch):
    monkeypatch.setattr(crosspt, "CONFIGURATIONS", ("P", "SL", "SILP"))
    monkeypatch.setattr(crosspt, "SHARING", ("SL", "SILP"))
    for name in ("CONFIGURATIONS", "SHARING"):
        monkeypatch.setattr(crosspt_figures, name, getattr(crosspt, name))
    for name in ("MIXED", "FEW_SOURCES"):
        monkeypatch.setattr(crosspt_figures, name, ("SL", "SILP"))
    monkeypatch.setattr(crosspt, "MINIATURE", {"test_rows": 4, "evaluate_rows": 4, "samples": 0})
    words = ["study", "crosspt", "-m", "./t5", "--seeds", "1"]
    parts = (
        "glue-16",
        "glue-32",
        "others-32",
        "reliance",
        *(f"figure-{number}" for number in (2, 3, 7, 8, 9)),
    )
    words += [option for part in parts for option in ("--part", part)]
    ran(words, capsys)
    page = place / "studies" / "crosspt" / "README.md"
    text = page.read_text()
    assert "glue, 32 rows, ./t5" in text
    assert "The paper, glue, 32 rows" in text
    assert "cola accuracy" in text
    with (page.parent / "reliance.csv").open() as stream:
        relied = {line["configuration"]: line for line in csv.DictReader(stream)}
    assert relied["SL"]["mrpc"] == "100.0"  # one shared prompt is all that there is
    assert float(relied["SILP"]["mrpc"]) < 100
    assert (page.parent / "figure-7.png").read_bytes().startswith(b"\x89PNG")
    monkeypatch.setattr(Tunings, "_measured_jointly", None)  # nothing is measured again
    ran(words, capsys)
    assert page.read_text() == text


def test_crosspt_beside_other_methods(place, monkeypatch):
    quick = {"test_rows": 2, "evaluate_rows": 2, "evaluate_every": 1, "samples": 0}
    monkeypatch.setattr(crosspt, "MINIATURE", quick)
    monkeypatch.setattr(crosspt, "GROUPS", {"glue": PAIRS})
    monkeypatch.setattr(crosspt, "BESIDE", (None, 16))
    shown = {name: crosspt.OTHERS[name] for name in ("Adapter(m)", "MPT", "DEPT")}
    monkeypatch.setattr(crosspt, "OTHERS", shown)
    study = CrossPT(Setting(["./t5"], place / "out", seeds=1))
    every, _, few, _ = crosspt.others(study)
    assert [row[0] for row in every.rows] == [*shown, *crosspt.TOGETHER, "SLP10"]
    assert [row[0] for row in few.rows] == ["MPT", "DEPT", "PT", "SLPN"]
    assert few.heads == ["method", *PAIRS, "mean"]


def test_the_papers_words_and_inputs_at_its_scale(place):
    study = CrossPT(Setting(["./t5"], place / "out", seeds=1, full=True))
    task = study.task(Data("mrpc"))
    assert task.verbalizer == {"0": "not_equivalent", "1": "equivalent"}
    assert "f1:equivalent" in task.metrics
    assert task.templates == {"seq2seq": "{prompt} sentence1: {text_a} sentence2: {text_b}"}
    assert study.task(Data("sst2")).verbalizer == {"0": "negative", "1": "positive"}


def test_rows_are_as_many_of_each_label(place):
    study = CrossPT(Setting(["./t5"], place / "out", seeds=1))
    seen = {}
    tasks = study.task
    study.task = lambda data: seen.setdefault(data.task, []).append(data.few) or tasks(data)
    study.scores(PAIRS, "SL", 8)
    assert seen["mrpc"][-1] == 4  # eight rows, two labels


def test_crosspts_sources_are_tuned_once_and_stay(place):
    study = CrossPT(Setting(["./t5"], place / "out", seeds=1))
    (name,) = study.sources("./t5", ["mrpc"], crosspt.SOURCE)
    before = study.library.get(name)
    study.scores(PAIRS, "SILP", 8)
    assert name == "mrpc@t5:source"
    assert study.library.get(name) == before


def test_ptg_writes_its_page(place, capsys):
    words = ["study", "ptg", "-m", "./t5", "--seeds", "1"]
    words += [option for part in ("1", "5", "figure-2", "claims") for option in ("--part", part)]
    ran(words, capsys)
    text = (place / "studies" / "ptg" / "README.md").read_text()
    assert "Table 5: xsum" in text
    assert "PTG beats spot, 50 to 500 rows" in text
    assert "![figure-2](figure-2.png)" in text


def test_sources_are_of_other_kinds_or_of_the_same(place):
    study = PTG(Setting(["./t5"], place / "out", seeds=1))
    assert study.other_kinds("summary") == ["squad_qg", "personachat", "dailydialog"]
    assert study.siblings("personachat") == ["dailydialog"]
    way = study.way("ptg", ["squad_qg"])
    assert way["pool"] == ["squad_qg@t5:source"]


def test_without_test_rows_half_of_those_for_validation_stand_in(place):
    (place / "data" / "mrpc" / "test.jsonl.gz").unlink()
    task, whole = Data("mrpc").load(), Data("sst2").load()
    parts = [{row["text_a"] for row in task.rows(split)} for split in ("validation", "test")]
    assert [len(part) for part in parts] == [4, 4]
    assert not parts[0] & parts[1]
    assert len(whole.rows("validation")) == len(whole.rows("test")) == 8
