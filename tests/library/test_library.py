"""Prompts by name in a folder; whatever else lies in the folder does no harm."""

from pathlib import Path

import pytest
import torch

from promptgraft.errors import BadFileError, PromptgraftError
from promptgraft.library import Library, default_path
from promptgraft.prompts import (
    ModelReference,
    ModuleState,
    PromptCard,
    SoftPrompt,
    load_module_state,
)

P, D = 3, 4


def soft(number: float = 0.0, task: str | None = "sst2", model: str = "mini/bert-s") -> SoftPrompt:
    base = ModelReference(
        name=model, fingerprint="ab", tokenizer_hash="cd", family="masked", embedding_size=D
    )
    card = PromptCard(kind="soft-prompt", length=P, base=base, task=task)
    return SoftPrompt(torch.full((P, D), float(number)), card)


@pytest.fixture
def library(tmp_path) -> Library:
    return Library(tmp_path / "library")


@pytest.fixture
def full(library) -> Library:
    names = ("sst2@mini/bert-s", "sst2@mini/bert-m:v1", "sst2@mini/bert-m:v2", "e2e@gpt2:long")
    for number, name in enumerate(names):
        library.add(soft(number), name)
    return library


def error_of(call) -> str:
    with pytest.raises(PromptgraftError) as caught:
        call()
    return str(caught.value)


def names(library: Library, *pattern: str) -> list[str]:
    return [entry.name for entry in library.list(*pattern)]


def test_a_new_library_is_empty_and_makes_no_folder(library):
    assert len(library) == 0
    assert library  # else `library or Library()` would take the default one
    assert library.list() == library.list().broken == []
    assert "sst2@mini/bert-s" not in library
    assert not library.path.exists()


def test_add_get_show(library):
    prompt = soft(1.5)
    assert library.add(prompt) == "sst2@mini/bert-s"
    assert "sst2@mini/bert-s" in library
    assert len(library) == 1
    assert library.get("sst2@mini/bert-s") == prompt
    name, card, path = library.show("sst2@mini/bert-s")
    assert (name, card) == ("sst2@mini/bert-s", prompt.card)
    assert path == library.path / "sst2@mini%2Fbert-s"
    assert library.list() == [(name, card, path)]


def test_a_second_library_sees_the_same(full):
    assert names(Library(str(full.path))) == names(full)


def test_adding_twice_needs_replace(library):
    library.add(soft(1))
    assert error_of(lambda: library.add(soft(2))) == (
        f"sst2@mini/bert-s is in {library.path} already. "
        "Give another tag, e.g. sst2@mini/bert-s:v2, or replace it."
    )
    assert library.get("sst2@mini/bert-s") == soft(1)
    library.add(soft(2), replace=True)
    assert library.get("sst2@mini/bert-s") == soft(2)
    assert len(library) == 1


def test_modules_are_kept(library):
    module = ModuleState({"name": "mlp"}, {"weight": torch.ones(2)})
    path = library.show(library.add(soft(), module=module)).path
    assert load_module_state(path).settings == {"name": "mlp"}
    library.add(soft(), replace=True)
    assert load_module_state(path) is None


@pytest.mark.parametrize("name", ["../x@m", "/x@m", "x@../../m", ".x@m", "x@m:..", "x@m\n", "x"])
def test_names_cannot_leave_the_library(library, name):
    before = sorted(library.path.parent.rglob("*"))
    assert "cannot name a prompt" in error_of(lambda: library.add(soft(), name))
    for call in (library.get, library.show, library.remove):
        assert "no prompt" in error_of(lambda call=call: call(name))
    assert name not in library
    assert sorted(library.path.parent.rglob("*")) == before


def test_globs(full):
    assert names(full) == [
        "e2e@gpt2:long",
        "sst2@mini/bert-m:v1",
        "sst2@mini/bert-m:v2",
        "sst2@mini/bert-s",
    ]
    assert names(full, "sst2@*") == names(full)[1:]
    assert names(full, "*@mini/bert-?") == ["sst2@mini/bert-s"]
    assert names(full, "*:v[2-9]") == ["sst2@mini/bert-m:v2"]
    assert names(full, "SST2@*") == []


def test_short_names_find_the_only_one(full):
    assert full.get("e2e") == full.get("e2e@gpt2") == full.get("e2e@gpt2:long") == soft(3)
    assert full.show("e2e").name == "e2e@gpt2:long"
    assert full.get("sst2@mini/bert-s") == soft(0)
    assert error_of(lambda: full.get("sst2@mini/bert-m")) == (
        "sst2@mini/bert-m could be sst2@mini/bert-m:v1 or sst2@mini/bert-m:v2. Name one."
    )


def test_missing_names_get_the_nearest(full):
    assert error_of(lambda: full.get("sst@mini/bert-s")) == (
        f"no prompt sst@mini/bert-s in {full.path}. The nearest: "
        "sst2@mini/bert-s, sst2@mini/bert-m:v2, sst2@mini/bert-m:v1."
    )
    assert error_of(lambda: full.get("zzz")) == (
        f"no prompt zzz in {full.path}. See: promptgraft ls"
    )


def test_removal_takes_exact_names(full):
    assert "no prompt e2e in" in error_of(lambda: full.remove("e2e"))
    full.remove("e2e@gpt2:long")
    assert "e2e@gpt2:long" not in full
    assert len(full) == 3
    assert len(list(full.path.iterdir())) == 3


def test_broken_folders_are_set_aside(full):
    (full.path / "sst2@mini%2Fbert-s" / "prompt.json").write_text("{")
    (full.path / "e2e@gpt2%3Along" / "prompt.safetensors").unlink()
    (full.path / "empty@m").mkdir()
    (full.path / "my notes").mkdir()
    (full.path / ".git").mkdir()
    (full.path / "README.md").write_text("about")
    listing = full.list()
    assert [entry.name for entry in listing] == ["sst2@mini/bert-m:v1", "sst2@mini/bert-m:v2"]
    assert {broken.path.name: broken.reason.partition(":")[0] for broken in listing.broken} == {
        "sst2@mini%2Fbert-s": str(full.path / "sst2@mini%2Fbert-s" / "prompt.json"),
        "e2e@gpt2%3Along": str(full.path / "e2e@gpt2%3Along" / "prompt.safetensors"),
        "empty@m": str(full.path / "empty@m" / "prompt.json"),
        "my notes": "'my notes' cannot name a prompt",
    }
    with pytest.raises(BadFileError):
        full.get("sst2@mini/bert-s")
    full.add(soft(9), "sst2@mini/bert-s", replace=True)
    assert full.get("sst2@mini/bert-s") == soft(9)
    full.remove("empty@m")
    assert "empty@m" not in full


def test_what_killed_writers_left_is_cleared(full):
    (full.path / "e2e@gpt2%3Along").rename(full.path / ".e2e@gpt2%3Along.old-12345678")
    (full.path / ".x@m.new-12345678").mkdir()
    assert full.get("e2e@gpt2:long") == soft(3)
    assert len(full) == 4
    assert len(list(full.path.iterdir())) == 4


def test_a_file_in_the_librarys_place(tmp_path):
    (tmp_path / "file").write_text("text")
    library = Library(tmp_path / "file")
    for call in (library.list, lambda: library.get("x@m"), lambda: library.add(soft())):
        assert str(tmp_path / "file") in error_of(call)


def test_default_path(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("PROMPTGRAFT_LIBRARY", raising=False)
    assert default_path() == Library().path == tmp_path / ".promptgraft" / "library"
    monkeypatch.setenv("PROMPTGRAFT_LIBRARY", "~/elsewhere")
    assert default_path() == Library().path == Path(tmp_path / "elsewhere")
