"""The cache of tensors: used, renewed when damaged, and never in the way."""

import signal
import subprocess
import sys

import pytest
import torch

from promptgraft.models import loading
from promptgraft.transfer import cache as kept

D = 8


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(loading, "CACHE", tmp_path)
    return tmp_path / "factors"


class Maker:
    """Makes a tensor and counts how often it was asked to."""

    def __init__(self):
        self.calls = 0

    def __call__(self):
        self.calls += 1
        return torch.full((D, D), 3.0, dtype=torch.float64)


def ask(make, *facts):
    return kept.cached("factors", facts, (D, D), make, most=2)


def test_made_once_for_the_same_facts():
    make = Maker()
    assert torch.equal(ask(make, "a", 0.1), ask(make, "a", 0.1))
    assert make.calls == 1
    ask(make, "a", 0.2)
    assert make.calls == 2


@pytest.mark.parametrize("damage", ["cut", "flip", "garbage", "other shape"])
def test_a_damaged_file_is_made_again(cache, damage):
    make = Maker()
    ask(make)
    (file,) = cache.iterdir()
    whole = file.read_bytes()
    if damage == "cut":
        file.write_bytes(whole[: len(whole) // 2])
    elif damage == "flip":
        file.write_bytes(whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:])
    elif damage == "garbage":
        file.write_bytes(b"no tensors here")
    else:
        big = torch.zeros(3, 3, dtype=torch.float64)
        from safetensors.torch import save_file

        save_file({"tensor": big}, file, {"sha256": kept._digest(big)})
    assert torch.equal(ask(make), make())
    assert make.calls == 3  # the first, the second, and the one compared with
    assert file.read_bytes() == whole


def test_where_nothing_can_be_written_nothing_is_kept(tmp_path, monkeypatch):
    place = tmp_path / "a file"
    place.write_text("in the way")
    monkeypatch.setattr(loading, "CACHE", place)
    make = Maker()
    assert torch.equal(ask(make), ask(make))
    assert make.calls == 2


def test_only_the_last_used_are_kept(cache):
    make = Maker()
    for number in range(4):
        ask(make, number)
    assert len(list(cache.iterdir())) == 2
    ask(make, 3)
    assert make.calls == 4


KILLED = """
import sys, torch, os, signal
from pathlib import Path
from promptgraft.models import loading
from promptgraft.transfer import cache
loading.CACHE = Path(sys.argv[1])
write = cache.save_file
def die(tensors, path, meta):
    write(tensors, path, meta)
    with open(path, "r+b") as file:
        file.truncate(100)
    os.kill(os.getpid(), signal.SIGKILL)
cache.save_file = die
cache.cached("factors", "killed", (8, 8), lambda: torch.ones(8, 8), most=2)
"""


def test_a_kill_while_writing_leaves_no_half_file(cache):
    done = subprocess.run([sys.executable, "-c", KILLED, cache.parent], check=False)
    assert done.returncode == -signal.SIGKILL
    assert not list(cache.glob("*.safetensors"))
    make = Maker()
    ask(make)
    assert make.calls == 1
