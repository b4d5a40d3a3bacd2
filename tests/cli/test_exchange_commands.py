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
    words = ("export", "e2e", "request.json", "--format", "prompt-embeds", "--text", "a")
    assert run(*words)[0] == 0
    assert json.loads((place / "request.json").read_text())["max_tokens"] == 64


def test_what_is_there_is_replaced_only_by_force(run, place):
    save_file({name: torch.randn(3, 16) for name in ("one", "two")}, place / "both.safetensors")
    run("import", "--tensor", "both.safetensors", "--model", "./gpt2")
    (place / "adapter").mkdir()
    (place / "adapter" / "notes.txt").write_text("mine")
    request = ("request.json", "--format", "prompt-embeds", "--text", "a")
    (place / "request.json").write_text("mine")
    for words in (("adapter",), request):
        code, _, err = run("export", "one@gpt2", *words)
        assert code == 1
        assert f"{words[0]} is there already. Name another path, or use --force" in err
    assert (place / "request.json").read_text() == "mine"
    assert [file.name for file in (place / "adapter").iterdir()] == ["notes.txt"]
    for name in ("one@gpt2", "two@gpt2"):
        for words in (("adapter",), request):
            assert run("export", name, *words, "--force")[0] == 0
    assert "prompt_embeds" in json.loads((place / "request.json").read_text())
    assert (place / "adapter" / "notes.txt").read_text() == "mine"
    assert run("import", "adapter", "--task", "back")[0] == 0
    assert Library().get("back@gpt2") == Library().get("two@gpt2")
    code, _, err = run("export", "one@gpt2", "request.json", "--force")  # a file, no folder
    assert code == 1
    assert "choose another path" in err


def test_a_classifier(run, place):
    save_file({"e2e": torch.randn(3, 16)}, place / "e2e.safetensors")
    run("import", "--tensor", "e2e.safetensors", "--model", "./gpt2")
    code, _, err = run("export", "e2e", "adapter", "--task-type", "SEQ_CLS")
    assert code == 1
    assert "no label words" in err
    store = Library()
    prompt = store.get("e2e@gpt2")
    card = prompt.card.model_copy(update={"verbalizer": {"0": "bad", "1": "good"}})
    store.add(prompt.with_card(card), "e2e@gpt2", replace=True)
    assert run("export", "e2e", "adapter", "--task-type", "SEQ_CLS")[0] == 0
    assert json.loads((place / "adapter/adapter_config.json").read_text())["task_type"] == "SEQ_CLS"


def test_a_mini_that_there_is_not_is_never_taken_on_trust(run, place):
    save_file({"a": torch.randn(3, 16)}, place / "a.safetensors")
    words = ("import", "--tensor", "a.safetensors", "--family", "causal", "--model")
    code, _, err = run(*words, "mini/gpt3-s")
    assert code == 1
    assert "There is no mini/gpt3-s" in err
    assert "Did you mean 'mini/gpt2-s'?" in err
    assert len(Library()) == 0
    assert run(*words, "maxi/gpt3-s")[0] == 0


@pytest.mark.parametrize(
    "words",
    [
        ("import",),
        ("import", "folder", "--tensor", "file"),
        ("import", "--tensor", "file"),
        ("export", "x", "y", "--text", "a"),
        ("export", "x", "y", "--format", "prompt-embeds"),
        ("export", "x", "y", "--format", "prompt-embeds", "--text", "a", "--max-tokens", "-5"),
        ("export", "x", "y", "--format", "prompt-embeds", "--text", "a", "--kind", "P_TUNING"),
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
