"""The demo, start to end, with tiny models and a few steps."""

import json

import pytest

from conftest import tiny
from promptgraft.cli.demo import Demo, run
from promptgraft.errors import PromptgraftError
from promptgraft.library import Library

WORDS = {0: "bad", 1: "good"}  # which the tiny models know
QUICK = {"steps": 2, "batch_size": 2, "evaluate_every": 1, "evaluate_rows": 4, "length": 2}


def test_the_demo_tunes_moves_writes_and_shows(tmp_path, capsys):
    for kind in ("bert", "albert", "gpt2"):
        model = tiny(kind)
        model.save(tmp_path / kind)
    demo = Demo(
        small=str(tmp_path / "bert"),
        large=str(tmp_path / "albert"),
        writer=str(tmp_path / "gpt2"),
        tuning=Demo().tuning | QUICK | {"few_shot": 4, "data": {"verbalizer": WORDS}},
        writing=Demo().writing | QUICK | {"few_shot": 8},
        test_rows=8,
        wording_rows=4,
        tables=4,
        samples=2,
    )
    library = Library(tmp_path / "library")
    lines = run(demo, tmp_path / "demo", library)
    names = [entry.name for entry in library.list()]
    assert names == ["e2e@gpt2:demo", "sst2@albert:demo", "sst2@bert:demo"]
    assert library.show("sst2@albert:demo").card.parents[0].relation == "transferred-from"
    html = (tmp_path / "demo/index.html").read_text()
    for text in ("sst2@bert:demo", "sst2@albert:demo", "e2e@gpt2:demo", "manual wording"):
        assert text in html
    assert html.count('class="sample"') == 2
    assert str(tmp_path / "demo/index.html") in "\n".join(lines)
    assert capsys.readouterr().out.count("accuracy") == 6
    for part in ("sentiment", "tables"):
        folder = tmp_path / "demo" / part
        assert (folder / "curves.png").is_file()
        results = json.loads((folder / "results.json").read_text())
        assert results["outcome"]["steps"] == QUICK["steps"]


def test_a_missing_model_is_told_before_anything_runs(tmp_path):
    model = tiny("bert")
    model.save(tmp_path / "bert")
    demo = Demo(small=str(tmp_path / "bert"), large=str(tmp_path / "bert"), writer="mini/none")
    with pytest.raises(PromptgraftError, match="mini/none"):
        run(demo, tmp_path / "demo", Library(tmp_path / "library"))
    assert not (tmp_path / "demo").exists()
