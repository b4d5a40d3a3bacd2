"""Prompts come back from disk bit for bit, or with one clear error."""

import hashlib
import io
import json
import os
import pickle
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from promptgraft.errors import BadFileError, PromptgraftError
from promptgraft.prompts import (
    ModuleState,
    SoftPrompt,
    encode_again,
    load,
    load_card,
    load_content_hash,
    load_module_state,
    save,
    write,
)

FILES = ["README.md", "prompt.json", "prompt.safetensors"]
WITH_MODULE = sorted([*FILES, "module.json", "module.safetensors"])
MODULE = ModuleState(
    {"name": "mlp", "settings": {"hidden": 8, "activation": "tanh"}},
    {"layer.weight": torch.ones(3, 2).T, "half": torch.ones(3, dtype=torch.float16)},
)
FIELDS = {
    "task": "sst2",
    "template": "{text} {mask} .",
    "verbalizer": {"positive": "gut – très", "negative": "bad"},
    "method": "soft-prompt",
    "hyperparameters": {"rate": 0.3, "betas": [0.9, 0.999], "clip": None, "nested": {"a": True}},
    "seed": 3,
    "metrics": {"validation.accuracy": 0.1 + 0.2},
    "created": "2026-01-02T03:04:05Z",
}
KILLS = 40


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def error_of(folder: Path, reader=load) -> str:
    with pytest.raises(BadFileError) as caught:
        reader(folder)
    return str(caught.value)


@pytest.fixture
def saved(tmp_path, soft) -> Path:
    save(soft(**FIELDS), tmp_path / "p", MODULE)
    return tmp_path / "p"


# Round trips


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_round_trip(tmp_path, make, dtype):
    prompt = make(**FIELDS).to(dtype=dtype)
    save(prompt, tmp_path / "p")
    back = load(str(tmp_path / "p"))
    assert type(back) is type(prompt)
    assert back == prompt
    assert back.card == prompt.card == load_card(tmp_path / "p")
    for name, tensor in prompt.tensors().items():
        there = back.tensors()[name]
        assert there.dtype == torch.float32
        assert there.to(dtype).view(torch.uint8).equal(tensor.view(torch.uint8))
    assert names(tmp_path / "p") == FILES
    assert load_module_state(tmp_path / "p") is None


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_another_card_and_the_same_numbers(tmp_path, soft, precision):
    save(soft(**FIELDS), tmp_path / "p", MODULE, precision)
    other = load(tmp_path / "p").card.model_copy(update={"notes": "again"})
    (tmp_path / "again").mkdir()
    write(encode_again(tmp_path / "p", other), tmp_path / "again")
    assert names(tmp_path / "again") == WITH_MODULE
    back = load(tmp_path / "again")
    assert (back, back.card) == (load(tmp_path / "p"), other)
    assert load_content_hash(tmp_path / "again") == back.content_hash
    assert load_module_state(tmp_path / "again").settings == MODULE.settings
    (tmp_path / "p" / "prompt.safetensors").write_bytes(b"x")
    assert "damaged" in error_of(tmp_path / "p", lambda folder: encode_again(folder, other))


def test_extreme_numbers(tmp_path, soft):
    info = torch.finfo(torch.float32)
    vectors = soft().vectors
    vectors[0] = torch.tensor([info.max, info.min, info.tiny, 1e-45, -0.0, info.eps])
    save(SoftPrompt(vectors, soft().card), tmp_path)
    assert load(tmp_path).vectors.view(torch.int32).equal(vectors.view(torch.int32))


def test_metrics_that_are_no_number(tmp_path, soft):
    prompt = soft(metrics={"mcc": float("nan"), "perplexity": float("inf")})
    save(prompt, tmp_path)
    metrics = load(tmp_path).card.metrics
    assert metrics["mcc"] != metrics["mcc"]
    assert metrics["perplexity"] == float("inf")
    assert "NaN" not in re.sub('"NaN"', "", (tmp_path / "prompt.json").read_text())  # strict JSON


def test_the_same_prompt_gives_the_same_bytes(tmp_path, make):
    for name in ("one", "two"):
        save(make(**FIELDS), tmp_path / name, MODULE)
    turned = make(**FIELDS | {"metrics": dict(FIELDS["metrics"])})
    save(turned, tmp_path / "two", MODULE)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_others_can_read_the_tensors(saved, soft):
    assert torch.equal(load_file(saved / "prompt.safetensors")["input"], soft().vectors)
    with safe_open(saved / "prompt.safetensors", "pt") as file:
        marks = json.loads(file.metadata()["promptgraft"])
    assert marks["content_hash"] == soft().content_hash


def test_a_module_is_kept(saved):
    settings, tensors = load_module_state(saved)
    assert settings == MODULE.settings
    assert tensors.keys() == MODULE.tensors.keys()
    for name, tensor in tensors.items():
        assert tensor.dtype == MODULE.tensors[name].dtype
        assert torch.equal(tensor, MODULE.tensors[name])
    assert names(saved) == WITH_MODULE


def test_weights_that_share_memory(tmp_path, soft):
    weight = torch.ones(2, 2)
    save(soft(), tmp_path, ModuleState({}, {"a": weight, "b": weight}))
    assert load_module_state(tmp_path).tensors.keys() == {"a", "b"}


def test_saving_again_replaces_the_prompt_and_its_module(saved, prefix):
    save(prefix(), saved)
    assert load(saved) == prefix()
    assert load_module_state(saved) is None
    assert names(saved) == FILES


def test_saving_leaves_other_files_alone(tmp_path, soft):
    (tmp_path / "metrics.jsonl").write_text("{}")
    (tmp_path / "README.md").write_text("about my project")
    save(soft(), tmp_path)
    assert (tmp_path / "metrics.jsonl").read_text() == "{}"
    assert (tmp_path / "README.md").read_text() == "about my project"
    assert load(tmp_path) == soft()


def test_a_prompt_may_be_shared_without_its_module_or_page(saved, soft):
    for name in ("module.json", "module.safetensors", "README.md"):
        (saved / name).unlink()
    assert load(saved) == soft()
    assert str(saved / "module.json") in error_of(saved, load_module_state)


# Damage: one BadFileError that names the file


def flips(length: int, count: int) -> list[tuple[int, int]]:
    """Places and bits: every region of the file, the first bytes and the last."""
    places = {*range(0, length, max(1, length // count)), *range(12), *range(length - 3, length)}
    return [(place, 1 << random.Random(place).randrange(8)) for place in sorted(places)]


@pytest.mark.parametrize("name", ["prompt.safetensors", "module.safetensors", "module.json"])
def test_flipped_bits_in_tensors(saved, name):
    whole = (saved / name).read_bytes()
    reader = load if name.startswith("prompt") else load_module_state
    for place, bit in flips(len(whole), 150):
        damaged = bytearray(whole)
        damaged[place] ^= bit
        (saved / name).write_bytes(damaged)
        assert error_of(saved, reader).startswith(f"{saved / name}: ")


def test_flipped_bits_in_the_card(saved, soft):
    """A flip of the card is found, or it did not matter: 1e-5 and 1E-5."""
    whole = (saved / "prompt.json").read_bytes()
    harmless = 0
    for place, bit in flips(len(whole), 400):
        damaged = bytearray(whole)
        damaged[place] ^= bit
        (saved / "prompt.json").write_bytes(damaged)
        try:
            load_module_state(saved)
            assert load(saved).card == soft(**FIELDS).card
            harmless += 1
        except BadFileError as caught:
            error = str(caught)
        else:
            continue
        assert error.startswith(str(saved))
        assert "prompt.json" in error
    assert harmless <= 2


@pytest.mark.parametrize("name", ["prompt.json", "prompt.safetensors"])
def test_truncated_files(saved, name):
    whole = (saved / name).read_bytes()
    for length in {*range(0, len(whole) - 2, 17), 1, 7, 8, 9, len(whole) - 2}:
        (saved / name).write_bytes(whole[:length])
        assert error_of(saved).startswith(f"{saved / name}: ")


@pytest.mark.parametrize("name", ["prompt.json", "prompt.safetensors"])
def test_longer_files(saved, name):
    with (saved / name).open("ab") as file:
        file.write(b"x")
    assert str(saved / name) in error_of(saved)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "damaged or not JSON"),
        ("[1, 2]", "list; expected a JSON object"),
        ("{}", "no list of the prompt's files"),
        ('{"peft_type": "PROMPT_TUNING"}', "no list of the prompt's files"),
        ('{"files": {"prompt.safetensors": "00"}}', "kind: Field required"),
        ("[" * 100_000, "damaged or not JSON"),
        ('{"a": ' + "9" * 5000 + "}", "damaged or not JSON"),
        (b"\xff\xfe\x00", "damaged or not JSON"),
    ],
)
def test_foreign_json(saved, text, message):
    (saved / "prompt.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    for reader in (load, load_card):
        error = error_of(saved, reader)
        assert error.startswith(f"{saved / 'prompt.json'}: ")
        assert message in error


def test_a_newer_version_says_to_upgrade(saved):
    card = json.loads((saved / "prompt.json").read_text())
    (saved / "prompt.json").write_text(json.dumps(card | {"schema_version": 2, "new": 1}))
    assert error_of(saved) == (
        f"{saved / 'prompt.json'}: schema version 2; this promptgraft reads up to 1. "
        "Upgrade it: pip install --upgrade promptgraft"
    )


def test_an_edited_card_says_how_to_edit(saved):
    card = json.loads((saved / "prompt.json").read_text())
    (saved / "prompt.json").write_text(json.dumps(card | {"notes": "by hand"}))
    assert "save prompt.with_card(...)" in error_of(saved)
    assert load_card(saved).notes == "by hand"


def test_tensors_of_another_prompt(saved, tmp_path, soft):
    save(soft(draw=9, **FIELDS), tmp_path / "q")
    shutil.copy(tmp_path / "q" / "prompt.safetensors", saved)
    assert "damaged or of another prompt" in error_of(saved)


def test_tensors_that_do_not_fit_the_card(saved, soft, prefix):
    """Hashes that agree do not help a file that is no prompt."""
    for tensors, message in (
        ({"weight": torch.ones(5, 6)}, "tensors ['weight']; a soft prompt has ['input']"),
        ({"input": torch.ones(5, 7)}, "7-dimensional"),
        ({"input": torch.ones(4, 6)}, "soft-prompt of 4"),
        ({"input": torch.full((5, 6), torch.nan)}, "NaN"),
        (prefix().sites, "tensors ['cross', 'decoder', 'encoder']"),
    ):
        forge(saved, tensors)
        error = error_of(saved)
        assert error.startswith(f"{saved / 'prompt.safetensors'}: ")
        assert message in error


def forge(
    folder: Path, tensors: dict[str, torch.Tensor] | bytes, metadata: dict[str, str] | None = None
) -> None:
    """Put other tensors under a card, with the right hashes on both sides or other metadata."""
    file, card = folder / "prompt.safetensors", folder / "prompt.json"
    with safe_open(file, "pt") as old:
        metadata = old.metadata() if metadata is None else metadata
    if isinstance(tensors, bytes):
        file.write_bytes(tensors)
    else:
        save_file(tensors, file, metadata)
    record = json.loads(card.read_text())
    record["files"]["prompt.safetensors"] = hashlib.sha256(file.read_bytes()).hexdigest()
    card.write_text(json.dumps(record))


@pytest.mark.parametrize("mark", ["", "{", "[1]", "{}", "3", '{"card_hash": null}', None])
def test_foreign_metadata_under_the_right_hash(saved, soft, mark):
    forge(saved, soft().tensors(), {} if mark is None else {"promptgraft": mark})
    assert "changed after prompt.safetensors was written" in error_of(saved)


def test_not_safetensors_under_the_right_hash(saved):
    forge(saved, b"not safetensors at all")
    assert "not a safetensors file" in error_of(saved)


class Bomb:
    def __reduce__(self):
        return os.abort, ()


def test_pickles_are_never_opened(saved, tmp_path):
    stream = io.BytesIO()
    torch.save({"input": torch.ones(5, 6)}, stream)
    for bomb in (pickle.dumps(Bomb()), stream.getvalue()):
        (saved / "prompt.safetensors").write_bytes(bomb)
        assert error_of(saved).startswith(f"{saved / 'prompt.safetensors'}: a pickle, which is")
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "pytorch_model.bin").write_bytes(bomb)
    assert error_of(foreign) == (
        f"{foreign / 'prompt.json'}: missing; a saved prompt has prompt.json and "
        "prompt.safetensors. pytorch_model.bin: pickles are never opened."
    )


def test_missing_files(saved, tmp_path):
    assert error_of(tmp_path / "none") == (
        f"{tmp_path / 'none'}: no such folder; expected a saved prompt."
    )
    file = saved / "prompt.safetensors"
    assert error_of(file) == (
        f"{file}: a file; expected the folder that was saved, "
        "with prompt.json and prompt.safetensors."
    )
    file.unlink()
    for reader in (load, load_card):
        assert error_of(saved, reader).startswith(f"{file}: missing; a saved prompt has")
    (saved / "prompt.json").unlink()
    assert error_of(saved).startswith(f"{saved / 'prompt.json'}: missing")


def test_folders_in_place_of_files(saved):
    (saved / "prompt.safetensors").unlink()
    (saved / "prompt.safetensors").mkdir()
    assert "cannot be read" in error_of(saved)


def test_saving_where_a_file_is(tmp_path, soft):
    (tmp_path / "file").write_text("text")
    with pytest.raises(PromptgraftError, match=r"cannot write .*/file: Not a directory"):
        save(soft(), tmp_path / "file")


# Kills


KILL = """
import os, random, signal, sys, time
from pathlib import Path
import torch
from promptgraft.prompts import load, save

torch.set_num_threads(1)
root, kills = Path(sys.argv[1]), int(sys.argv[2])
old, new = load(root / "old"), load(root / "new")
pause = random.Random(0)
for turn in range(kills):
    target = root / ("same" if turn % 2 else f"fresh-{turn}")
    child = os.fork()
    if child == 0:
        while True:
            save(old, target)
            save(new, target)
    time.sleep(pause.random() * 0.03)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    if target.exists():
        there = load(target)
        assert there == old or there == new
        assert there.card == (old if there == old else new).card
        print("old" if there == old else "new")
    else:
        print("none")
    save(new, target)
    assert load(target) == new
"""


def test_kills_in_the_middle_of_saves(tmp_path, soft, prefix):
    old, new = soft(4, notes="old"), prefix(6, notes="new")
    for name in ("old", "new", "same"):
        save(new if name == "new" else old, tmp_path / name)
    command = [sys.executable, "-c", KILL, str(tmp_path), str(KILLS)]
    states = subprocess.check_output(command, text=True).split()
    assert len(states) == KILLS
    assert {"old", "new"} <= set(states)
    assert names(tmp_path / "same") == FILES


def test_a_save_that_was_killed_while_its_files_moved_in_is_finished(tmp_path, saved, soft):
    """From the moment of .commit on it is the new prompt, whether one reads tensors or card."""
    new = soft(draw=7, notes="new")
    save(new, tmp_path / "q")
    (tmp_path / "q").rename(saved / ".commit")
    assert load_card(saved) == new.card
    assert load(saved) == new
    assert not (saved / ".commit").exists()


def test_readers_see_one_prompt_or_the_other(tmp_path, soft):
    """While a writer replaces a prompt without pause, no reader meets a mixture."""
    one, two = soft(4, draw=1, notes="1"), soft(300, draw=2, notes="2")
    save(one, tmp_path)
    child = os.fork()
    if child == 0:
        try:
            for _ in range(50):
                save(two, tmp_path)
                save(one, tmp_path)
        finally:
            os._exit(0)
    seen = set()
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        prompt = load(tmp_path)
        assert (prompt, prompt.card) in ((one, one.card), (two, two.card))
        seen.add(prompt)
    assert seen == {one, two}
