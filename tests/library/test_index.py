"""The index says what the folders say, whatever happened to either."""

import os
import random
import shutil
import sqlite3
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pytest
import torch

from promptgraft.errors import PromptgraftError
from promptgraft.library import Library, shards
from promptgraft.prompts import ModelReference, PromptCard, SoftPrompt
from rights import not_root

BASE = ModelReference(
    name="mini/bert-s", fingerprint="ab", tokenizer_hash="cd", family="masked", embedding_size=4
)


def soft(number: int = 0, task: str = "sst2") -> SoftPrompt:
    card = PromptCard(kind="soft-prompt", length=2, base=BASE, task=task, seed=number)
    return SoftPrompt(torch.full((2, 4), float(number)), card)


def names(library: Library, **where) -> list[str]:
    return [entry.name for entry in library.list(**where)]


@pytest.fixture
def library(tmp_path) -> Library:
    library = Library(tmp_path / "library")
    library.add_all((soft(n), f"p{n}@m") for n in range(5))
    return library


@pytest.fixture
def seldom(monkeypatch) -> None:
    """Stamps count as soon as they are taken, as if every change were long ago."""
    monkeypatch.setattr(shards, "TRUSTED", -(10**18))


def test_what_is_copied_in_is_noticed(library, tmp_path, seldom):
    other = Library(tmp_path / "other")
    other.add(soft(9), "new@m")
    other.add(soft(8), "p1@m")
    assert names(library) == [f"p{n}@m" for n in range(5)]
    subprocess.run(["cp", "-a", f"{other.path}/.", str(library.path)], check=True)  # its index too
    assert names(library, where="seed>=8") == names(Library(library.path), where="seed>=8")
    shutil.copytree(other.show("new@m").path, library.path / "beside@m")
    assert names(library) == ["beside@m", "new@m", *(f"p{n}@m" for n in range(5))]
    library.index.rebuild()  # p1 was replaced file by file, which a shard does not show
    assert names(library, where="seed>=8") == ["beside@m", "new@m", "p1@m"]


def test_what_is_deleted_is_not_served(library, seldom):
    assert len(library) == 5
    shutil.rmtree(library.show("p3@m").path)
    assert "p3@m" not in names(library)
    assert "p3@m" not in names(Library(library.path), where="seed=3")
    shutil.rmtree(library.show("p4@m").path.parent)  # a whole shard
    assert names(library) == ["p0@m", "p1@m", "p2@m"]
    with pytest.raises(PromptgraftError, match="no prompt p3@m"):
        library.get("p3@m")


def test_a_folder_in_two_places_counts_once(library, seldom):
    shutil.copytree(library.show("p1@m").path, library.path / "p1@m")
    listing = library.list()
    assert [entry.name for entry in listing] == [f"p{n}@m" for n in range(5)]
    assert "a second folder of p1@m" in listing.broken[0].reason
    library.remove("p1@m")
    assert library.list("p1@m")[0].path == library.path / "p1@m"
    assert library.get("p1@m") == soft(1)
    library.add(soft(7), "p1@m", replace=True)
    assert library.get("p1@m") == soft(7)
    assert names(library, where="seed=7") == ["p1@m"]


@pytest.mark.parametrize("damage", [b"", b"not a database", None, "cut", "noise"])
def test_a_damaged_index_is_made_again(library, damage):
    expected, path = names(library), library.path
    library.index.database.close()
    file = path / ".index-1.sqlite"
    for end in ("-wal", "-shm"):
        file.with_name(file.name + end).unlink(missing_ok=True)
    data = file.read_bytes()
    if damage is None:
        file.unlink()
    elif damage == "cut":
        file.write_bytes(data[: len(data) // 2])
    elif damage == "noise":
        noise = random.Random(0)
        file.write_bytes(data[:100] + noise.randbytes(len(data) - 100))
    else:
        file.write_bytes(damage)
    assert names(Library(path)) == expected


def test_a_read_only_library_is_read_and_refuses_writers():
    with tempfile.TemporaryDirectory() as folder:
        library = Library(folder)
        library.add_all((soft(n), f"p{n}@m") for n in range(5))
        shutil.rmtree(library.show("p0@m").path)
        library.add(soft(7), "p7@m")
        del library
        for path in (Path(folder), *Path(folder).glob("??")):
            path.chmod(0o555)
        expected = ["p1@m", "p2@m", "p3@m", "p4@m", "p7@m"]
        with not_root():
            library = Library(folder)
            assert names(library) == names(library) == expected
            assert names(library, where="seed>3") == expected[-2:]
            assert library.get("p7@m") == soft(7)
            for change in (
                lambda: library.add(soft(1), "p1@m", replace=True),
                lambda: library.add(soft(1), "new@m"),
                lambda: library.remove("p1@m"),
                lambda: library.rename("p1@m", "new@m"),
                lambda: library.tag("p1@m", "new"),
            ):
                with pytest.raises(PromptgraftError, match="choose a folder that you may write"):
                    change()
            library.index.rebuild()
            assert names(library) == expected
        for path in (Path(folder), *Path(folder).glob("??")):
            path.chmod(0o755)


def test_a_full_disk(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(disk)]
    if os.getuid() or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("mounting a small file system takes root")
    try:
        library = Library(disk)
        added = []
        with pytest.raises(PromptgraftError, match=r"No space left.*free some space"):  # noqa: PT012
            for number in range(1000):
                added.append(library.add(soft(number), f"p{number}@m"))
        assert len(added) > 5
        for seen in (library, Library(disk)):
            assert sorted(names(seen)) == sorted(added)
            assert all(seen.get(f"p{n}@m") == soft(n) for n in range(len(added)))
        assert library.verify() == (len(added), [])
        library.remove(added[0])
        library.remove(added[1])
        assert library.empty_trash() == 2
        assert library.add(soft(0), "again@m") == "again@m"
        assert sorted(names(Library(disk))) == sorted([*added[2:], "again@m"])
        del library, seen
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.parametrize("hours", [-1000, 1000])
def test_a_clock_that_is_wrong_hides_nothing(library, monkeypatch, hours):
    """Seen from a process whose clock is wrong, then from one whose clock is right again."""
    right = time.time_ns
    for number in range(5, 9):
        offset = hours * 3600 * 10**9 * (number % 2)
        monkeypatch.setattr(time, "time_ns", lambda offset=offset: right() + offset)
        library.add(soft(number), f"p{number}@m")
        shutil.rmtree(library.show(f"p{number - 5}@m").path)
        folder = library.show(f"p{number}@m").path
        moment = right() + offset
        os.utime(folder.parent, ns=(moment, moment))
        expected = [f"p{n}@m" for n in range(number - 4, number + 1)]
        assert names(library) == names(Library(library.path)) == expected


def test_threads_share_a_library(library):
    found, errors = [], []

    def work(number: int) -> None:
        try:
            library.add(soft(number), f"t{number}@m")
            found.append(len(names(library, where="seed>=0")))
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert len(library) == 13
    assert max(found) == 13


def test_a_fork_may_use_its_parents_library(library):
    assert len(library) == 5
    child = os.fork()
    if child == 0:
        status = 1
        try:
            library.add(soft(5), "child@m")
            status = 0 if len(library) == 6 else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    library.add(soft(6), "parent@m")
    assert {"child@m", "parent@m"} < set(names(library))
    stored = sqlite3.connect(library.index.database.path)
    assert stored.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    stored.close()


def test_nothing_is_read_twice(library, seldom, monkeypatch):
    assert len(library) == 5
    read = []
    monkeypatch.setattr(shards, "load_card", lambda path: read.append(path))
    assert len(Library(library.path)) == 5
    assert not read
