"""push and pull on the command line, against a stand-in for the hub."""

import json
import os
import subprocess
import sys

import pytest
import torch

import hub
from promptgraft.library import Library
from promptgraft.prompts import ModelReference, PromptCard, SoftPrompt

NAME = "sst2@google-t5/t5-small"


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PROMPTGRAFT_LIBRARY", str(tmp_path / "library"))
    base = ModelReference(
        name="google-t5/t5-small",
        fingerprint="ab",
        tokenizer_hash="cd",
        family="seq2seq",
        embedding_size=4,
    )
    card = PromptCard(kind="soft-prompt", length=2, base=base, task="sst2")
    Library().add(SoftPrompt(torch.ones(2, 4), card))
    return tmp_path


@pytest.fixture
def online(place, monkeypatch):
    with hub.running() as found:
        hub.point_at(found, monkeypatch, place / "cache")
        yield found


def test_there_and_back(command, online):
    code, out, err = command("push", "sst2", "me/prompts")
    assert (code, out) == (0, f"{NAME}\n{online.endpoint}/me/prompts\n")
    assert err.endswith("me/prompts is new, private.\n")
    assert command("pull", "me/prompts", "--library", "new")[:2] == (0, f"{NAME}\n")
    assert Library("new").get("sst2") == Library().get("sst2")
    assert f"{NAME} is here already." in command("pull", "me/prompts", "--library", "new")[2]
    pulled = json.loads(command("pull", "me/prompts", "--library", "other", "--json")[1])
    assert pulled["added"] == [NAME]
    pushed = json.loads(command("push", "library", "me/prompts", "--json")[1])
    assert pushed == {"url": f"{online.endpoint}/me/prompts", "names": [NAME], "is_new": False}


def test_errors_are_one_line(command, online):
    code, out, err = command("pull", "me/nothing")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "no repository me/nothing" in err


def test_as_a_process_of_its_own(online, place):
    """The endpoint and the token come from the environment; the token stays there."""
    settings = {
        "HF_ENDPOINT": online.endpoint,
        "HF_HOME": str(place / "home"),
        "HF_HUB_DISABLE_XET": "1",
    }

    def promptgraft(*words, **more):
        command = [sys.executable, "-c", "from promptgraft.cli import main; main()", *words]
        environment = os.environ | settings | more
        return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)

    done = promptgraft("push", "sst2", "me/prompts", "--public")
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, NAME), done.stderr
    wrong = promptgraft("push", "sst2", "me/prompts", "--debug", HF_TOKEN="hf_notThisOne")
    assert wrong.returncode == 1
    assert "run hf auth login" in wrong.stderr.lower()
    said = done.stdout + done.stderr + wrong.stdout + wrong.stderr
    assert hub.TOKEN not in said
    assert "hf_notThisOne" not in said
