"""Prompts by name in a folder; whatever else lies in the folder does no harm."""

import shutil
from pathlib import Path

import pytest
import torch

from promptgraft.errors import BadFileError, PromptgraftError, WrongModelError
from promptgraft.library import Library, default_path
from promptgraft.library.names import to_folder
from promptgraft.library.shards import shard_of
from promptgraft.prompts import (
    ModelReference,
    ModuleState,
    PromptCard,
    SoftPrompt,
    load,
    load_module_state,
    rounded,
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
    assert list(library.list()) == library.list().broken == []
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
    assert path == library.path / shard_of(path.name) / "sst2@mini%2Fbert-s"
    assert [tuple(entry) for entry in library.list()] == [(name, card, path)]


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


def test_an_exact_name_is_one_also_in_the_moment_it_is_replaced(library, monkeypatch):
    """Its folder is then moved aside; the index still knows it."""
    for name in ("a@m", "a@m:t"):
        library.add(soft(0), name)
    monkeypatch.setattr(Library, "__contains__", lambda self, name: False)
    assert library.resolve("a@m") == "a@m"


def test_missing_names_get_the_nearest(full):
    assert error_of(lambda: full.get("sst@mini/bert-s")) == (
        f"no prompt sst@mini/bert-s in {full.path}. The nearest: "
        "sst2@mini/bert-s, sst2@mini/bert-m:v2, sst2@mini/bert-m:v1."
    )
    assert error_of(lambda: full.get("zzz")) == (
        f"no prompt zzz in {full.path}. See: promptgraft ls"
    )


def folder(library: Library, name: str) -> Path:
    return library.path / shard_of(to_folder(name)) / to_folder(name)


def prompts_on_disk(library: Library) -> list[str]:
    return sorted(path.parent.name for path in library.path.glob("[!.]*/*/prompt.json"))


def test_removal_takes_exact_names_and_goes_to_the_trash(full):
    assert "no prompt e2e in" in error_of(lambda: full.remove("e2e"))
    trash = full.remove("e2e@gpt2:long")
    assert "e2e@gpt2:long" not in full
    assert len(full) == len(prompts_on_disk(full)) == 3
    assert load(trash) == soft(3)
    full.add(soft(4), "e2e@gpt2:long")
    full.remove("e2e@gpt2:long")  # twice the same name
    assert full.empty_trash() == 2
    assert not trash.exists()
    assert full.empty_trash() == 0


def test_what_is_taken_out_of_the_trash_is_back(full):
    trash = full.remove("e2e@gpt2:long")
    trash.rename(full.path / trash.name)
    assert full.get("e2e") == soft(3)
    assert "e2e@gpt2:long" in names(full)


def test_folders_that_are_no_prompts_are_set_aside(full):
    (full.path / "empty@m").mkdir()
    (full.path / "my notes").mkdir()
    (full.path / ".git").mkdir()
    (full.path / "README.md").write_text("about")
    shutil.rmtree(folder(full, "e2e@gpt2:long"))
    shutil.copytree(folder(full, "sst2@mini/bert-s"), full.path / "00" / "sst2@mini%2Fbert-s")
    listing = full.list()
    assert [entry.name for entry in listing] == [
        "sst2@mini/bert-m:v1",
        "sst2@mini/bert-m:v2",
        "sst2@mini/bert-s",
    ]
    assert {
        str(b.path.relative_to(full.path)): b.reason.split(": ")[-1] for b in listing.broken
    } == {
        "00/sst2@mini%2Fbert-s": f"in the wrong shard; move it to {full.path} or "
        f"{folder(full, 'sst2@mini/bert-s').parent}.",
        "empty@m": "missing; a saved prompt has prompt.json and prompt.safetensors.",
        "my notes": "its form. Expected task@model or task@model:tag, e.g. sst2@mini/bert-s:v2",
    }
    full.remove("empty@m")
    assert "empty@m" not in full


def test_damage_is_named_by_all_who_read_and_set_aside_by_verify(full):
    damaged = folder(full, "sst2@mini/bert-s"), folder(full, "e2e@gpt2:long")
    (damaged[0] / "prompt.json").write_text("{")
    tensors = bytearray((damaged[1] / "prompt.safetensors").read_bytes())
    tensors[-1] ^= 1
    (damaged[1] / "prompt.safetensors").write_bytes(tensors)
    (full.path / "my notes").mkdir()
    newer = full.path / "newer@m"
    shutil.copytree(folder(full, "sst2@mini/bert-m:v1"), newer)
    card = (newer / "prompt.json").read_text()
    (newer / "prompt.json").write_text(card.replace('"schema_version": 1', '"schema_version": 2'))
    for name in ("sst2@mini/bert-s", "e2e"):
        with pytest.raises(BadFileError):
            full.get(name)
    sound, broken = full.verify()
    assert sound == 2
    reasons = {one.path.name: (one.path, one.reason) for one in broken}
    assert set(reasons) == {path.name for path in (*damaged, newer)} | {"my notes"}
    for path in damaged:
        moved, reason = reasons[path.name]
        assert moved.parent.parent == full.path / ".broken"
        assert str(path / "prompt.") in reason
        assert (moved / "README.md").exists()
        assert not path.exists()
    assert reasons["newer@m"][0] == newer
    assert "Upgrade it" in reasons["newer@m"][1]
    assert newer.exists()
    assert names(full) == ["sst2@mini/bert-m:v1", "sst2@mini/bert-m:v2"]
    assert full.verify()[0] == 2
    full.add(soft(9), "sst2@mini/bert-s")  # its name is free
    assert full.verify("*@mini/*")[0] == 3


def test_what_is_asked_for_is_verified_and_nothing_else(full):
    damaged = folder(full, "sst2@mini/bert-s"), folder(full, "e2e@gpt2:long")
    for path in damaged:
        (path / "prompt.json").write_text("{")
    (full.path / "my notes").mkdir()
    shutil.copytree(folder(full, "sst2@mini/bert-m:v1"), full.path / "00" / "sst2@mini%2Fbert-x")
    full.rebuild()
    assert [one.path.name for one in full.list("e2e@*").broken] == ["e2e@gpt2%3Along"]
    sound, broken = full.verify("sst2@mini/*[!y]")
    assert sound == 2
    assert {one.path.name: one.is_moved for one in broken} == {
        "sst2@mini%2Fbert-s": True,
        "sst2@mini%2Fbert-x": False,
    }
    assert [path.exists() for path in damaged] == [False, True]
    assert {one.path.name for one in full.verify()[1]} == {
        *("e2e@gpt2%3Along", "my notes", "sst2@mini%2Fbert-x")
    }


def test_what_killed_writers_left_is_cleared(full):
    place = folder(full, "e2e@gpt2:long")
    place.rename(place.with_name(f".{place.name}.old-12345678"))
    place.with_name(".x@m.new-12345678").mkdir()
    assert full.get("e2e@gpt2:long") == soft(3)
    assert len(full) == 4
    assert [path.name for path in place.parent.iterdir()] == [place.name]


def test_a_prompt_that_another_process_takes_away_is_added_all_the_same(full, monkeypatch):
    copy, name = shutil.copytree, "sst2@mini/bert-s"

    def taken_away(source, *arguments, **settings):
        if source.is_dir():
            shutil.rmtree(source)
        return copy(source, *arguments, **settings)

    monkeypatch.setattr(shutil, "copytree", taken_away)
    full.add(soft(7), name, replace=True)
    assert full.get(name) == soft(7)


def test_what_people_put_beside_a_prompt_stays(full):
    (folder(full, "sst2@mini/bert-s") / "notes.txt").write_text("mine")
    full.add(soft(7), "sst2@mini/bert-s", replace=True)
    assert (folder(full, "sst2@mini/bert-s") / "notes.txt").read_text() == "mine"
    assert full.get("sst2@mini/bert-s") == soft(7)


def test_rename(full):
    assert full.rename("sst2@mini/bert-s", "films@mini/bert-s:1") == "films@mini/bert-s:1"
    assert full.get("films") == soft(0)
    assert "sst2@mini/bert-s" not in names(full)
    assert "already" in error_of(lambda: full.rename("films@mini/bert-s:1", "e2e@gpt2:long"))
    assert "no prompt x@m" in error_of(lambda: full.rename("x@m", "y@m"))
    assert "cannot name" in error_of(lambda: full.rename("e2e@gpt2:long", "../x"))
    assert len(full) == 4


def test_a_name_is_of_the_prompts_own_model(full):
    """Of the model on its card, or of the one that it is named after."""
    with pytest.raises(WrongModelError) as caught:
        full.rename("sst2@mini/bert-s", "films@mini/bert-m")
    assert str(caught.value) == (
        "sst2@mini/bert-s is a prompt of mini/bert-s and cannot be called films@mini/bert-m. "
        "Expected films@mini/bert-s, or move it to that model: "
        "promptgraft transfer sst2@mini/bert-s --to mini/bert-m"
    )
    assert "sst2@mini/bert-s" in full
    assert full.rename("e2e@gpt2:long", "films@gpt2") == "films@gpt2"  # as it was named
    assert full.rename("films@gpt2", "films@mini/bert-s:2") == "films@mini/bert-s:2"


def test_a_tag_is_safe_from_later_runs(full):
    assert full.tag("sst2@mini/bert-s", "best") == "sst2@mini/bert-s:best"
    full.add(soft(5), "sst2@mini/bert-s", replace=True)
    assert full.get("sst2@mini/bert-s:best") == soft(0)
    assert "already" in error_of(lambda: full.tag("sst2@mini/bert-s", "best"))
    full.tag("sst2@mini/bert-s", "best", replace=True)
    assert full.get("sst2@mini/bert-s:best") == soft(5)
    assert full.tag("e2e", "short") == "e2e@gpt2:short"  # in place of the tag it has


def test_many_at_once(library):
    added = library.add_all((soft(n), f"task{n}@m") for n in range(300))
    assert added == [f"task{n}@m" for n in range(300)]
    assert library.get("task299") == soft(299)
    assert len(library) == len(prompts_on_disk(library)) == 300
    for taken in ([(soft(), "new@m"), (soft(), "task3@m")], [(soft(), "new@m")] * 2):
        assert "already" in error_of(lambda taken=taken: library.add_all(taken))
    assert "new@m" not in library


def test_duplicates_are_known_by_content(full):
    assert full.duplicates() == []
    full.tag("e2e", "copy")
    full.add(soft(0), "other@mini/bert-m")
    assert full.duplicates() == [
        ["e2e@gpt2:copy", "e2e@gpt2:long"],
        ["other@mini/bert-m", "sst2@mini/bert-s"],
    ]


@pytest.mark.parametrize("precision", ["float16", "int8"])
def test_prompts_in_fewer_bytes(library, precision):
    prompt = SoftPrompt(torch.randn(P, D), soft().card)
    library.add(prompt, "one@m", precision=precision)
    library.add_all([(prompt, "two@m")], precision=precision)
    assert library.get("one@m") == library.get("two@m") == rounded(prompt, precision)
    assert library.duplicates() == [["one@m", "two@m"]]
    assert library.similar("one@m")[0] == ("two@m", pytest.approx(1))


def test_a_file_in_the_librarys_place(tmp_path):
    (tmp_path / "file").write_text("text")
    library = Library(tmp_path / "file")
    for call in (library.list, lambda: library.get("x@m"), lambda: library.add(soft())):
        assert str(tmp_path / "file") in error_of(call)


def test_looking_leaves_nothing_in_a_folder_that_is_no_library(tmp_path):
    (tmp_path / "my notes").mkdir()
    (tmp_path / "00").mkdir()
    library = Library(tmp_path)
    library.rebuild()
    assert len(library) == len(library.list()) == 0
    assert library.list().broken == library.duplicates() == library.similar(soft()) == []
    assert library.verify() == (0, [])
    assert "no prompt x@m" in error_of(lambda: library.get("x@m"))
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["00", "my notes"]
    library.add(soft(1))
    assert names(library) == names(Library(tmp_path)) == ["sst2@mini/bert-s"]
    assert [one.path.name for one in library.list().broken] == ["my notes"]
    assert library.index.database.path.exists()


def test_a_folder_that_is_not_there_is_named(library):
    assert error_of(lambda: library.get("x@m")) == f"no prompt x@m: there is no {library.path}."


def test_default_path(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("PROMPTGRAFT_LIBRARY", raising=False)
    assert default_path() == Library().path == tmp_path / ".promptgraft" / "library"
    monkeypatch.setenv("PROMPTGRAFT_LIBRARY", "~/elsewhere")
    assert default_path() == Library().path == Path(tmp_path / "elsewhere")
