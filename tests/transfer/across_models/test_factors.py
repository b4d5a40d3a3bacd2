"""The cache of factors: used, renewed when damaged, and never in the way."""

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from promptgraft.models import loading
from promptgraft.transfer.across_models import factors
from spaces import space

D = 8


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(loading, "CACHE", tmp_path)
    return tmp_path / "factors"


class Maker:
    """Makes a factor and counts how often it was asked to."""

    def __init__(self):
        self.calls = 0

    def __call__(self):
        self.calls += 1
        return torch.full((D, D), 3.0, dtype=torch.float64)


def ask(make, fingerprint="0" * 64, ridge=0.1, frame="plain"):
    target = replace(space(torch.randn(4, D)), frame=frame)
    target.model.reference.fingerprint = fingerprint
    return factors.cached(target, ridge, make)


def test_made_once_for_each_target_frame_words_and_ridge():
    make = Maker()
    assert torch.equal(ask(make), ask(make))
    assert make.calls == 1
    ask(make, fingerprint="1" * 64)
    ask(make, ridge=0.2)
    ask(make, frame="centred")
    assert make.calls == 4


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

        save_file({"factor": big}, file, {"sha256": factors._digest(big)})
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


def test_only_the_last_used_are_kept(cache, monkeypatch):
    monkeypatch.setattr(factors, "MOST", 2)
    make = Maker()
    for number in range(4):
        ask(make, fingerprint=f"{number}" * 64)
    assert len(list(cache.iterdir())) == 2
    ask(make, fingerprint="3" * 64)
    assert make.calls == 4


KILLED = """
import sys, torch, os, signal
sys.path.insert(0, sys.argv[2])
from dataclasses import replace
from pathlib import Path
from promptgraft.models import loading
from promptgraft.transfer.across_models import factors
from spaces import space
loading.CACHE = Path(sys.argv[1])
write = factors.save_file
def die(tensors, path, meta):
    write(tensors, path, meta)
    with open(path, "r+b") as file:
        file.truncate(100)
    os.kill(os.getpid(), signal.SIGKILL)
factors.save_file = die
factors.cached(space(torch.randn(4, 8)), 0.1, lambda: torch.ones(8, 8, dtype=torch.float64))
"""


def test_a_kill_while_writing_leaves_no_half_factor(cache):
    here = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", KILLED, cache.parent, here], check=False)
    assert done.returncode == -signal.SIGKILL
    assert not list(cache.glob("*.safetensors"))
    make = Maker()
    ask(make)
    assert make.calls == 1
