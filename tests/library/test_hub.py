"""Libraries to a stand-in for the hub and back: all of it, parts of it, and what goes wrong."""

import socket
import time

import pytest
import torch
import yaml

import hub as stand_in
from promptgraft import prompts
from promptgraft.api import sharing
from promptgraft.errors import BadFileError, PromptgraftError
from promptgraft.library import Library, hub
from promptgraft.library.modelcard import MOST, model_card
from promptgraft.prompts import ModelReference, ModuleState, Parent, PromptCard, SoftPrompt

REPO = "me/prompts"
P, D = 3, 4


def card(task, model="google-t5/t5-small", **fields):
    base = ModelReference(
        name=model, fingerprint="ab", tokenizer_hash="cd", family="seq2seq", embedding_size=D
    )
    return PromptCard(kind="soft-prompt", length=P, base=base, task=task, **fields)


def soft(number, task="sst2", **fields):
    return SoftPrompt(torch.full((P, D), float(number)), card(task, **fields))


@pytest.fixture
def online(monkeypatch, tmp_path):
    with stand_in.running() as found:
        stand_in.point_at(found, monkeypatch, tmp_path / "cache")
        yield found


@pytest.fixture
def full(tmp_path):
    """Three prompts: one with metrics, one with its module, one rounded that has a parent."""
    library = Library(tmp_path / "full")
    good = soft(1, metrics={"test.accuracy": 91.5, "test.f1": float("nan")}, licence="mit")
    library.add(good)
    state = ModuleState({"module": "mlp"}, {"weight": torch.ones(2, 2)})
    library.add(soft(2, "e2e"), "e2e@google-t5/t5-small:v2", state)
    parent = Parent(name="sst2@x", content_hash=good.content_hash, relation="transferred-from")
    library.add(soft(0.3, "mine", model="mini/t5-s", parents=(parent,)), precision="int8")
    return library


@pytest.fixture
def new(tmp_path):
    return Library(tmp_path / "new")


def contents(library):
    """Everything on the disk but the index: name of the file -> bytes."""
    return {
        str(file.relative_to(library.path)): file.read_bytes()
        for file in library.path.rglob("*")
        if file.is_file() and not file.name.startswith(".index")
    }


def error_of(kind, call):
    with pytest.raises(kind) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_library_comes_back_byte_for_byte(online, full, new):
    pushed = sharing.push(full.path, REPO)
    assert pushed == (f"{online.endpoint}/{REPO}", [entry.name for entry in full.list()], True)
    pulled = sharing.pull(REPO, library=new)
    assert (pulled.added, pulled.present) == (pushed.names, [])
    assert contents(new) == contents(full)
    assert sharing.pull(REPO, library=new)[1:] == ([], pushed.names)  # nothing new


def test_a_clone_of_the_repository_is_a_library(online, full, tmp_path):
    sharing.push(full.path, REPO)
    for path, data in online.files(REPO).items():
        (tmp_path / "clone" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "clone" / path).write_bytes(data)
    clone = Library(tmp_path / "clone")
    assert [entry.name for entry in clone.list()] == [entry.name for entry in full.list()]
    assert clone.list().broken == []


def test_a_single_prompt_joins_those_that_are_there(online, full, new):
    sharing.push("mine", REPO, library=full)
    assert sharing.push("e2e", REPO, library=full).is_new is False
    page = online.files(REPO)["README.md"].decode()
    assert "mine@mini/t5-s" in page
    assert "e2e@google-t5/t5-small:v2" in page
    assert sharing.pull(REPO, "e2e@*", library=new).added == ["e2e@google-t5/t5-small:v2"]
    state = prompts.load_module_state(new.show("e2e").path)
    assert state.settings == {"module": "mlp"}
    assert len(new) == 1


def test_a_prompt_in_a_folder_of_its_own(online, new, tmp_path):
    prompts.save(soft(4, "own"), tmp_path / "run")
    assert sharing.push(tmp_path / "run", REPO).names == ["own@google-t5/t5-small"]
    sharing.pull(REPO, library=new)
    assert new.get("own") == soft(4, "own")


def test_a_repository_is_private_unless_it_is_said(online, full, monkeypatch, new):
    sharing.push("mine", REPO, library=full)
    sharing.push("mine", "me/open", public=True, library=full)
    assert online.private == {REPO}
    monkeypatch.delenv("HF_TOKEN")
    assert sharing.pull("me/open", library=new).added == ["mine@mini/t5-s"]
    message = error_of(PromptgraftError, lambda: sharing.pull(REPO, library=new))
    assert "no repository me/prompts, or it is private" in message
    refused = error_of(PromptgraftError, lambda: sharing.push("e2e", "me/open", library=full))
    assert "hf auth login with a token that may do this" in refused


def test_an_older_state_by_its_commit(online, full, new):
    sharing.push("sst2", REPO, library=full)
    first = sharing.pull(REPO, library=new).revision
    full.add(soft(7), replace=True)
    sharing.push("sst2", REPO, library=full)
    taken = error_of(PromptgraftError, lambda: sharing.pull(REPO, library=new))
    assert "sst2@google-t5/t5-small: in" in taken
    assert torch.equal(new.get("sst2").vectors, soft(1).vectors)
    sharing.pull(REPO, replace=True, library=new)
    assert new.get("sst2") == soft(7)
    sharing.pull(REPO, revision=first, replace=True, library=new)
    assert torch.equal(new.get("sst2").vectors, soft(1).vectors)
    message = error_of(PromptgraftError, lambda: sharing.pull(REPO, revision="v9", library=new))
    assert "no such branch, tag or commit" in message


@pytest.mark.parametrize("how", ["changed", "gone"])
def test_what_arrives_damaged_or_not_at_all_leaves_nothing(online, full, new, how):
    sharing.push(full.path, REPO)
    place = full.show("e2e").path.relative_to(full.path)
    path = f"{place}/prompt.safetensors"
    online.broken.add(path if how == "changed" else f"gone:{path}")
    kind = BadFileError if how == "changed" else PromptgraftError
    error_of(kind, lambda: sharing.pull(REPO, library=new))
    assert not new.path.exists()
    online.broken.clear()
    assert len(sharing.pull(REPO, library=new).added) == 3  # the cache's damage is fetched anew


def test_a_damaged_prompt_is_not_pushed(online, full):
    (full.show("mine").path / "prompt.safetensors").write_bytes(b"x")
    error_of(BadFileError, lambda: sharing.push(full.path, REPO))
    assert online.asked == []


def test_other_things_in_a_repository_are_passed_over(online, full, new):
    sharing.push("mine", REPO, library=full)
    strange = {
        "prompt.json": b"{}",
        "00/mine@mini%2Ft5-s/prompt.json": b"{}",  # not its shard
        "notes/prompt.json": b"{}",
        "model.bin": b"\x80",
    }
    online.commit(REPO, online.files(REPO) | strange)
    assert sharing.pull(REPO, library=new).added == ["mine@mini/t5-s"]
    online.commit("me/other", {"model.bin": b"\x80"})
    message = error_of(PromptgraftError, lambda: sharing.pull("me/other", library=new))
    assert "me/other has no prompts. Expected folders such as" in message
    message = error_of(PromptgraftError, lambda: sharing.pull(REPO, "x*", library=new))
    assert message.endswith("has no prompt like x*; it has mine@mini/t5-s.")


def test_a_path_that_leads_outside_is_refused(online, full, new, tmp_path):
    sharing.push("mine", REPO, library=full)
    online.commit(REPO, online.files(REPO) | {"../../../x@y/prompt.json": b"{}"})
    error_of(PromptgraftError, lambda: sharing.pull(REPO, library=new))
    assert not new.path.exists()
    assert not list(tmp_path.rglob("x@y"))


def test_no_hub_is_said_at_once(online, full, new, monkeypatch):
    from huggingface_hub import constants

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setattr(constants, "ENDPOINT", nobody)
    for call in (
        lambda: sharing.push("mine", REPO, library=full),
        lambda: sharing.pull(REPO, library=new),
    ):
        start = time.monotonic()
        assert f"the hub at {nobody} cannot be reached" in error_of(PromptgraftError, call)
        assert time.monotonic() - start < 5


def test_a_hub_that_never_answers_is_given_up(online, new, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(hub, "SECONDS", 0.3)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        start = time.monotonic()
        message = error_of(PromptgraftError, lambda: sharing.pull(REPO, library=new))
    assert "cannot be reached" in message
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("name", ["a b/c", "x/y/z", "me/-"])
def test_names_that_are_none(online, new, name):
    message = error_of(PromptgraftError, lambda: sharing.pull(name, library=new))
    assert message == f"{name!r} is no name on the hub; expected user/name."


def test_no_such_prompt(online, full):
    assert "no prompt x in" in error_of(
        PromptgraftError, lambda: sharing.push("x", REPO, library=full)
    )
    message = error_of(PromptgraftError, lambda: sharing.push("x*", REPO, library=full))
    assert message == f"There is no prompt like x* in {full.path}."


def test_the_token_goes_to_the_hub_and_nowhere_else(online, full, new, tmp_path):
    sharing.push(full.path, REPO)
    sharing.pull(REPO, library=new)
    assert f"Bearer {stand_in.TOKEN}" in {key for *_, key in online.asked}
    token = stand_in.TOKEN.encode()
    written = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert not [file for file in written if token in file.read_bytes()]
    assert not any(token in data for data in online.files(REPO).values())


def test_the_model_card(online, full):
    sharing.push(full.path, REPO)
    _, front, page = online.files(REPO)["README.md"].decode().split("---\n", 2)
    data = yaml.safe_load(front)
    assert data["base_model"] == ["google-t5/t5-small"]  # a mini is no model of the hub
    assert data["base_model_relation"] == "adapter"
    assert data["library_name"] == "promptgraft"
    assert data["tags"] == ["promptgraft", "prompt-tuning"]
    (index,) = data["model-index"]
    (result,) = index["results"]
    assert result["dataset"]["name"] == "sst2"
    assert [(one["type"], one["value"]) for one in result["metrics"]] == [("accuracy", 91.5)]
    assert "promptgraft pull me/prompts" in page
    assert "promptgraft generate e2e@google-t5/t5-small:v2 'a text'" in page
    assert "| `mine@mini/t5-s` | transferred-from | `sst2@x` |" in page
    assert "test.accuracy 91.5" in page
    links = [part.split(")")[0] for part in page.split("](")[1:]]
    assert {link.replace("%25", "%").replace("%40", "@") for link in links} == {
        str(entry.path.relative_to(full.path)) for entry in full.list()
    }


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_where_a_model_lies_is_not_told(online, new, tmp_path, precision):
    own = Library(tmp_path / "own")
    prompt = SoftPrompt(torch.randn(P, D), card("sst2", "/home/ann/models/gpt2"))
    own.add(
        prompt, module=ModuleState({"module": "mlp"}, {"w": torch.ones(2)}), precision=precision
    )
    assert sharing.push("sst2", REPO, library=own).names == ["sst2@gpt2"]
    sharing.push(own.path, REPO)  # now among the others that are there
    files = online.files(REPO)
    assert not [path for path, data in files.items() if b"/home/ann" in data]
    front, page = files["README.md"].decode().split("---\n", 2)[1:]
    assert "base_model" not in yaml.safe_load(front)  # gpt2 of the hub is another
    assert "frozen model ./gpt2" in page
    assert sharing.pull(REPO, library=new).added == ["sst2@gpt2"]
    there, here = new.get("sst2"), own.get("sst2")
    assert there == here
    assert there.card.base.name == "./gpt2"
    assert there.card.base.may_be(here.card.base)
    assert prompts.load_module_state(new.show("sst2").path).settings == {"module": "mlp"}
    assert sharing.pull(REPO, library=own).present == ["sst2@gpt2"]
    assert own.get("sst2").card.base.name == "/home/ann/models/gpt2"


def test_the_model_card_of_a_library_without_end():
    cards = {f"t{n:04}@m": card(f"t{n:04}", "m") for n in range(MOST + 1)}
    page = model_card("me/many", cards)
    assert f"{MOST + 1} continuous prompts" in page
    assert f"t{MOST - 1:04}@m" in page
    assert f"t{MOST:04}@m" not in page
    assert f"The first {MOST} of {MOST + 1}" in page


def test_large_libraries_go_in_commits_of_whole_prompts(online, full, new, monkeypatch):
    monkeypatch.setattr(hub, "TOGETHER", 2)
    sharing.push(full.path, REPO)
    steps = [set(files) for _, files in online.repos[REPO]]
    assert len(steps) == 3  # when it was made, two prompts, one
    assert sum(path.endswith("prompt.json") for path in steps[1]) == 2
    assert len(sharing.pull(REPO, library=new).added) == 3
