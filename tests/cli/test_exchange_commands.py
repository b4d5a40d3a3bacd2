"""Import and export on the command line."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from conftest import tiny
from promptgraft.library import Library
from promptgraft.models import loading


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PROMPTGRAFT_LIBRARY", str(tmp_path / "library"))
    monkeypatch.setattr(loading, "hub_answers", lambda: False)
    model = tiny("gpt2")
    model.save(tmp_path / "gpt2")
    return tmp_path


@pytest.fixture
def run(place, command):
    return command


def test_every_command_has_an_example(run):
    for name in ("import", "export"):
        assert f"Example:\n  $ promptgraft {name}" in run(name, "--help")[1]


def test_tensors_of_a_model_that_is_not_at_hand(run, place):
    stored = {"mnli": torch.randn(4, 6).half(), "sst2": torch.randn(4, 6).half()}
    save_file(stored, place / "prompts.safetensors")
    words = ("import", "--tensor", "prompts.safetensors", "--model", "t5-base")
    code, out, err = run(*words, "--key", "mnli")
    assert (code, out) == (0, "mnli@t5-base\n")
    assert "Not checked against the model" in err
    assert "is in" in run(*words)[2]  # mnli is taken
    assert json.loads(run(*words, "--json", "--replace")[1]) == ["mnli@t5-base", "sst2@t5-base"]
    prompt = Library().get("mnli@t5-base")
    assert torch.equal(prompt.vectors, stored["mnli"].float())
    assert (prompt.card.base.family, prompt.card.task) == ("seq2seq", "mnli")
    assert "not checked" in run("show", "mnli")[1]
    assert "2 prompts are sound" in run("verify")[1]
    assert run("similar", "mnli")[1].splitlines()[1].startswith("sst2@t5-base")


def test_rows_of_an_array(run, place):
    np.save(place / "P1001.npy", np.arange(60.0).reshape(10, 6))
    words = ("import", "--tensor", "P1001.npy", "--model", "bert-base-cased")
    assert run(*words, "--rows", "0:5", "--template", "{source} {prompt} {mask} .")[0] == 0
    prompt = Library().get("P1001@bert-base-cased")
    assert prompt.vectors.flatten().tolist() == list(range(30))
    assert prompt.card.template == "{source} {prompt} {mask} ."
    assert run(*words, "--rows", "a:b")[0] == 2


def test_out_to_peft_and_back(run, place):
    save_file({"e2e": torch.randn(3, 16)}, place / "e2e.safetensors")
    assert run("import", "--tensor", "e2e.safetensors", "--model", "./gpt2")[2] == ""
    assert run("export", "e2e@gpt2", "adapter")[:2] == (0, "adapter\n")
    code, out, err = run("import", "adapter", "--task", "back")
    assert (code, out, err) == (0, "back@gpt2\n", "")
    library = Library()
    assert library.get("back@gpt2") == library.get("e2e@gpt2")
    assert "not empty" in run("export", "e2e", "adapter")[2]
    assert run("export", "e2e", "request.json", "--format", "prompt-embeds", "--text", "a")[0] == 0
    assert json.loads((place / "request.json").read_text())["max_tokens"] == 64


@pytest.mark.parametrize(
    "words",
    [
        ("import",),
        ("import", "folder", "--tensor", "file"),
        ("import", "--tensor", "file"),
        ("export", "x", "y", "--text", "a"),
        ("export", "x", "y", "--format", "prompt-embeds"),
    ],
)
def test_wrong_usage(run, words):
    assert run(*words)[0] == 2


def test_of_many_tensors_all_come_in_or_none(run, place):
    save_file({name: torch.randn(4, 6) for name in ("a", "b")}, place / "prompts.safetensors")
    words = ("import", "--tensor", "prompts.safetensors", "--model", "t5-base")
    assert run(*words, "--key", "b")[0] == 0
    code, _, err = run(*words)
    assert code == 1
    assert "b@t5-base is in" in err
    assert len(Library()) == 1
    code, _, err = run(*words, "--replace", "--rows", "8:12")
    assert code == 1
    assert "of its 4 rows none is chosen" in err
