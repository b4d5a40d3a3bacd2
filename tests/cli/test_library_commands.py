"""The commands that look after the library, run in this process."""

import json
import subprocess

import pytest
import torch

from conftest import tiny
from promptgraft.cli import terminal
from promptgraft.library import Library
from promptgraft.prompts import Parent, PromptCard, SoftPrompt
from promptgraft.transfer.across_models.words import vocabulary

COMMANDS = ("similar", "diff", "tag", "rename", "rm", "gc", "verify", "pack", "index")


WORDS = {
    1: ("good", "bad", "great", "fun", "is"),
    2: ("film", "story", "cast", "long", "too"),
    3: ("food", "area", "near", "river", "one"),
}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    place = tmp_path_factory.mktemp("models")
    for kind in ("bert", "gpt2"):
        model = tiny(kind)
        model.save(place / kind)
    return place


def soft(kind: str, number: int, **fields) -> SoftPrompt:
    model = tiny(kind)
    base = model.reference.model_copy(update={"name": f"./{kind}"})
    known = vocabulary(model.tokenizer)
    words = torch.tensor([known.find(f" {word}") for word in WORDS[number]])
    card = PromptCard(kind="soft-prompt", length=5, base=base, task=f"t{number}", **fields)
    return SoftPrompt(model.embed(words).cpu(), card)


@pytest.fixture
def library(tmp_path, models, monkeypatch) -> Library:
    monkeypatch.chdir(models)
    monkeypatch.setenv("PROMPTGRAFT_LIBRARY", str(tmp_path / "library"))
    library = Library()
    first = soft("bert", 1, metrics={"test.accuracy": 90.0}, curve=(3.0, 2.0, 1.0))
    library.add(first, "one@bert")
    parent = Parent(name="old name", content_hash=first.content_hash, relation="initialised-from")
    lost = Parent(name="lost@m", content_hash="ab", relation="mixed-from")
    library.add(soft("bert", 2, parents=(parent, lost), seed=3), "two@bert")
    library.add(first.with_card(first.card), "one@bert:copy")
    library.add(soft("gpt2", 1), "one@gpt2")
    return library


@pytest.fixture
def run(library, command):
    return command


def test_every_command_has_an_example(run):
    for name in COMMANDS:
        code, out, _ = run(name, "--help")
        assert code == 0
        assert f"Example:\n  $ promptgraft {name}" in out


def test_ls_where(run):
    found = json.loads(run("ls", "--where", "metric.accuracy>80", "--json")[1])
    assert [entry["name"] for entry in found] == ["one@bert", "one@bert:copy"]
    code, _, err = run("ls", "--where", "metric.acc>80")
    assert code == 1
    assert "no prompt here has a field 'metric.acc'" in err
    assert run("ls", "--duplicates")[1] == "one@bert  one@bert:copy\n"
    assert run("ls", "two*", "--duplicates")[1] == ""
    assert "No prompts with seed>5" in run("ls", "--where", "seed>5")[2]


def test_show_has_lineage_and_curve(run):
    out = run("show", "two@bert")[1]
    assert "├─ initialised-from one@bert\n" in out
    assert "└─ mixed-from lost@m  (not here)\n" in out
    out = run("show", "one@bert")[1]
    assert "Loss          █▅▁  3.000 to 1.000\n" in out.replace("▄", "▅")
    assert "Made from it  two@bert\n" in out
    found = json.loads(run("show", "two@bert", "--json")[1])
    assert [parent["name"] for parent in found["lineage"]["parents"]] == ["one@bert", "lost@m"]


def test_sparkline():
    assert terminal.sparkline([0, 7, 3, 7]) == "▁█▄█"
    assert terminal.sparkline([2, 2]) == "▁▁"


def test_diff(run):
    out = run("diff", "one@bert", "two@bert")[1]
    assert [line.split() for line in out.splitlines()[:2]] == [
        ["FIELD", "one@bert", "two@bert"],
        ["task", "t1", "t2"],
    ]
    assert "seed" in out
    assert "Cosine of the means" in out
    assert run("diff", "one@bert", "one@bert:copy")[1] == "The same numbers.\n"


def test_tag_rename_rm_gc(run, library):
    assert run("tag", "two", "best")[:2] == (0, "two@bert:best\n")
    assert run("tag", "two@bert", "best")[0] == 1
    assert run("tag", "two@bert", "best", "--replace")[0] == 0
    assert run("rename", "two@bert:best", "three@bert")[1] == "three@bert\n"
    code, _, err = run("rm", "three@bert", "one@bert:copy")
    assert code == 0
    assert f" mv {library.path}/.trash/" in err
    assert "three@bert" not in library
    assert run("gc")[1] == "2 prompts deleted\n"
    assert len(library) == 3


def test_what_rm_says_brings_a_prompt_back(run, tmp_path):
    place = tmp_path / "it's mine"
    Library(place).add(soft("bert", 1), "one@bert:best")
    code, _, err = run("rm", "one@bert:best", "--library", str(place))
    assert code == 0
    subprocess.run(err.partition("To have it back: ")[2], shell=True, check=True)
    assert [entry.name for entry in Library(place).list()] == ["one@bert:best"]


def test_verify_and_index(run, library):
    assert run("verify")[:2] == (0, "4 prompts are sound, 0 are not\n")
    (library.show("one@gpt2").path / "prompt.safetensors").write_bytes(b"noise")
    code, out, err = run("verify")
    assert (code, out) == (3, "3 prompts are sound, 1 are not\n")
    assert "one@gpt2" in err
    assert f"now in {library.path}/.broken" in err
    assert run("index")[1] == f"3 prompts in {library.path}\n"


def test_verify_says_what_it_moved_and_what_not(run, library):
    (library.path / "my notes").mkdir()
    code, out, err = run("verify")
    assert (code, out) == (3, "4 prompts are sound, 1 are not\n")
    assert "now in" not in err
    assert f"  left in {library.path}/my notes\n" in err
    assert run("verify", "*@*")[:2] == (0, "4 prompts are sound, 0 are not\n")
    assert "README.md" in run("verify", "--help")[1]


def test_rename_keeps_the_model(run):
    code, _, err = run("rename", "two@bert", "two@gpt2")
    assert code == 3
    assert "promptgraft transfer two@bert --to gpt2" in err


@pytest.mark.parametrize("by", ["--library", "PROMPTGRAFT_LIBRARY"])
@pytest.mark.parametrize(
    "line",
    ["ls", "verify", "gc", "index", "similar FOLDER", "pack * --precision int8", "show one@bert"],
)
def test_a_mistyped_library_is_named(run, library, tmp_path, monkeypatch, by, line):
    words = line.replace("FOLDER", str(library.show("one@bert").path)).split()
    typo = tmp_path / "libary"
    if by == "--library":
        words += [by, str(typo)]
    else:
        monkeypatch.setenv(by, str(typo))
    code, out, err = run(*words)
    assert (code, out) == (1, "")
    assert f"there is no {typo}" in err
    assert len(err.splitlines()) == 1
    assert not typo.exists()


def test_the_default_library_is_empty_before_it_is_there(run, tmp_path, monkeypatch):
    monkeypatch.delenv("PROMPTGRAFT_LIBRARY")
    monkeypatch.setenv("HOME", str(tmp_path))
    code, _, err = run("ls")
    assert (code, err) == (0, f"No prompts in {tmp_path}/.promptgraft/library.\n")
    assert run("gc")[:2] == (0, "0 prompts deleted\n")


def test_looking_leaves_nothing_behind(run, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    for words in (["ls"], ["show", "x"], ["verify"], ["index"], ["gc"]):
        run(*words, "--library", str(other))
    assert list(other.iterdir()) == []


def test_similar(run, library):
    lines = run("similar", "one@bert")[1].splitlines()
    assert [line.split()[0] for line in lines] == ["NAME", "one@bert:copy", "two@bert"]
    assert lines[1].split()[1] == "1.000"
    lines = run("similar", str(library.show("one@bert").path))[1].splitlines()
    assert {line.split()[0] for line in lines} == {"NAME", "one@bert", "one@bert:copy", "two@bert"}


def test_similar_across_models(run, library):
    """Prompts of the same words in two models lie alike among the words that both know."""
    library.add(soft("gpt2", 3), "three@gpt2")
    library.add(soft("gpt2", 3).with_card(away(soft("gpt2", 3).card)), "gone@nowhere")
    code, out, err = run("similar", "one@bert", "--across", "--json")
    assert code == 0, err
    found = {one["name"]: one["cosine"] for one in json.loads(out)}
    assert next(iter(found)) == "one@bert:copy"
    assert found.keys() == {"one@bert:copy", "two@bert", "one@gpt2", "three@gpt2"}
    assert found["one@bert:copy"] == pytest.approx(1)
    assert found["one@gpt2"] > found["three@gpt2"]
    assert "left out" in err
    assert "nowhere" in err


def away(card: PromptCard) -> PromptCard:
    base = card.base.model_copy(update={"name": "./nowhere", "fingerprint": "00"})
    return card.model_copy(update={"base": base})


def test_pack(run, library, tmp_path):
    code, out, _ = run("pack", "*@bert", "--precision", "int8")
    assert code == 0
    assert "2 prompts" in out
    assert len(library) == 4
    run("pack", "*@bert", "--precision", "int8", "--to", str(tmp_path / "small"))
    small = Library(tmp_path / "small")
    assert [entry.name for entry in small.list()] == ["one@bert", "two@bert"]
    parent = small.show("one@bert").card.parents[-1]
    assert (parent.name, parent.relation) == ("one@bert", "rounded-to-int8")
    apart = (small.get("one@bert").vectors - library.get("one@bert").vectors).abs().max()
    found = json.loads(run("pack", "one@bert", "--precision", "int8", "--json")[1])
    assert found[0]["largest"] == pytest.approx(apart.item())


def test_packing_again_changes_nothing_and_takes_in_what_is_new(run, library, tmp_path):
    small = Library(tmp_path / "small")
    words = ("pack", "*@bert", "--precision", "int8", "--to", str(small.path))
    first = run(*words)
    before = {entry.path.stat().st_ino for entry in small.list()}
    assert run(*words) == first
    library.add(soft("bert", 3), "three@bert")
    code, out, err = run(*words)
    assert code == 0, err
    assert "3 prompts" in out
    assert len(small) == 3
    assert before < {entry.path.stat().st_ino for entry in small.list()}


def test_packing_over_other_prompts_is_refused_before_anything_is_packed(run, library, tmp_path):
    small = Library(tmp_path / "small")
    small.add(soft("bert", 3), "two@bert")
    library.add(soft("bert", 3), "three@bert")
    for precision in ("int8", "float16"):
        words = ("pack", "*@bert", "--precision", precision, "--to", str(small.path))
        code, out, err = run(*words)
        assert (code, out) == (1, "")
        assert err.endswith(
            f"{small.path} has another two@bert. Nothing was packed: pack into another folder, or "
            f"first: promptgraft rm two@bert --library {small.path}\n"
        )
        assert [entry.name for entry in small.list()] == ["two@bert"]
    small.remove("two@bert")
    assert run(*words)[0] == 0
    assert run(*words[:3], "int8", *words[4:])[0] == 1  # they are there in another precision
