"""The examples run, with few steps, and say what they promise to say."""

import contextlib
import io
import json
import runpy
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
SAID = {  # what each script prints at the least
    "tune_and_move": ["large model, the same prompt moved", "sst2@mini/bert-m:example"],
    "mixed_batch": ["film reviews, a prefix", "as if alone", "e2e@mini/gpt2-m:mixed: "],
    "few_examples": ["crosspt", "accuracy by seed", "Borrowed: "],
    "table_to_text": ["no prompt {'bleu'", "prefix {'bleu'", "Kept as tables@mini/gpt2-m"],
    "library_and_peft": ["PEFT writes the same: True", "and back: True", "library.html"],
}
SCRIPTS = {file.stem: file for file in sorted((ROOT / "examples").glob("*.py"))}
NOTEBOOKS = {file.stem: file for file in sorted((ROOT / "examples").glob("*.ipynb"))}
LINES = 60


@pytest.mark.parametrize("name", SCRIPTS)
def test_script(name, place, monkeypatch, capsys):
    if name == "library_and_peft":
        pytest.importorskip("peft")
    monkeypatch.setattr(sys, "argv", [name, "--steps", "4"])
    runpy.run_path(str(SCRIPTS[name]), run_name="__main__")
    printed = capsys.readouterr().out
    for text in SAID[name]:
        assert text in printed
    assert "NOT" not in printed


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_is_short_and_says_how_it_is_run(name):
    text = SCRIPTS[name].read_text()
    assert len(text.splitlines()) < LINES
    assert f"python examples/{name}.py" in text


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_notebook(name, place):
    """Its cells are valid, kept without outputs, and run one after another."""
    nbformat = pytest.importorskip("nbformat")
    text = NOTEBOOKS[name].read_text()
    nbformat.validate(nbformat.reads(text, as_version=4))
    cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
    assert cells
    namespace: dict = {"__name__": "notebook", "display": print}
    for cell in cells:
        assert cell["outputs"] == []
        code = "".join(cell["source"]).replace("steps=300", "steps=4")
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(code, name, "exec"), namespace)
