"""Files are there whole or not at all: after errors, on full disks, and after a kill anywhere."""

import errno
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from promptgraft.errors import PromptgraftError
from promptgraft.files import (
    heal,
    move_folder,
    remove_folder,
    sweep,
    whole_file,
    whole_files,
    whole_folder,
    whole_folders,
)
from rights import not_root

OLD = {"a.txt": "old a", "b.txt": "old b"}
NEW = {"a.txt": "new a", "c.txt": "new c"}


def write(folder: Path, contents: dict[str, str]) -> None:
    folder.mkdir(exist_ok=True)
    for name, text in contents.items():
        (folder / name).write_text(text)


def read(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# What they do when all is well


def test_whole_file_appears_at_the_end_only(tmp_path):
    path = tmp_path / "deep" / "file"
    with whole_file(path) as temporary:
        temporary.write_text("text")
        assert not path.exists()
        assert temporary.parent == path.parent  # else the rename would cross file systems
    assert path.read_text() == "text"
    assert names(path.parent) == ["file"]


def test_whole_file_replaces(tmp_path):
    for text in ("one", "two"):
        with whole_file(tmp_path / "file") as temporary:
            temporary.write_text(text)
    assert read(tmp_path) == {"file": "two"}


def test_whole_folder_replaces_everything(tmp_path):
    for contents in (OLD, NEW):
        with whole_folder(tmp_path / "x") as temporary:
            write(temporary, contents)
            write(temporary / "sub", contents)
            assert names(tmp_path)[-1:] == (["x"] if contents is NEW else [temporary.name])
        assert read(tmp_path / "x" / "sub") == contents
        assert names(tmp_path / "x") == sorted([*contents, "sub"])
    assert names(tmp_path) == ["x"]


def test_whole_files_leaves_other_files(tmp_path):
    write(tmp_path / "x", OLD)
    with whole_files(tmp_path / "x") as temporary:
        write(temporary, NEW)
        assert (tmp_path / "x" / "a.txt").read_text() == OLD["a.txt"]
    assert read(tmp_path / "x") == OLD | NEW


def test_an_open_file_beside_goes_on_being_written(tmp_path):
    log = (tmp_path / "log").open("a")
    with whole_files(tmp_path) as temporary:
        write(temporary, NEW)
    log.write("line")
    log.close()
    assert read(tmp_path) == NEW | {"log": "line"}


def test_remove_folder(tmp_path):
    write(tmp_path / "x", OLD)
    remove_folder(tmp_path / "x")
    assert names(tmp_path) == []


def test_permissions_are_those_of_any_new_file(tmp_path):
    (tmp_path / "plain").touch()
    (tmp_path / "folder").mkdir()
    with whole_file(tmp_path / "file"):
        pass
    with whole_folder(tmp_path / "whole"):
        pass
    mode = {path.name: path.stat().st_mode for path in tmp_path.iterdir()}
    assert mode["file"] == mode["plain"]
    assert mode["whole"] == mode["folder"]


def test_a_link_is_written_through(tmp_path):
    write(tmp_path / "real", OLD)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with whole_folder(tmp_path / "link") as temporary:
        write(temporary, NEW)
    assert (tmp_path / "link").is_symlink()
    assert read(tmp_path / "real") == NEW


def test_the_folder_one_stands_in(tmp_path, monkeypatch):
    write(tmp_path / "x", OLD)
    monkeypatch.chdir(tmp_path / "x")
    with whole_files(Path(".")) as temporary:
        write(temporary, NEW)
    assert read(tmp_path / "x") == OLD | NEW


# Errors


@pytest.mark.parametrize("whole", [whole_file, whole_folder, whole_files])
@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt()])
def test_an_error_leaves_all_as_it_was(tmp_path, whole, error):
    write(tmp_path / "x", OLD)
    path = tmp_path / "x" / "a.txt" if whole is whole_file else tmp_path / "x"
    with pytest.raises(type(error)), whole(path):
        raise error
    assert read(tmp_path / "x") == OLD
    assert names(tmp_path) == ["x"]


@pytest.mark.parametrize("call", [1, 2])
def test_a_failing_rename_brings_the_old_folder_back(tmp_path, monkeypatch, call):
    write(tmp_path / "x", OLD)
    rename, calls = Path.rename, []

    def failing(path, target):
        calls.append(path)
        if len(calls) == call:
            raise OSError(errno.EIO, "Input/output error")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(OSError, match="Input/output"), whole_folder(tmp_path / "x") as temporary:
        write(temporary, NEW)
    assert read(tmp_path / "x") == OLD
    assert names(tmp_path) == ["x"]


def test_paths_that_cannot_be(tmp_path):
    (tmp_path / "file").write_text("text")
    (tmp_path / "folder").mkdir()
    for whole, path in (
        (whole_folder, tmp_path / "file"),
        (whole_file, tmp_path / "file" / "x"),
        (whole_folder, tmp_path / "file" / "x"),
        (whole_file, tmp_path / "folder"),
        (whole_file, tmp_path / ("x" * 250)),
    ):
        with pytest.raises(PromptgraftError, match=re.escape(str(path))), whole(path):
            pass
    assert names(tmp_path) == ["file", "folder"]
    assert (tmp_path / "file").read_text() == "text"


def test_errors_of_the_block_stay_what_they_are(tmp_path):
    with pytest.raises(FileNotFoundError), whole_file(tmp_path / "x"):
        Path("/nonexistent/file").read_text()
    with pytest.raises(PermissionError), whole_file(tmp_path / "x"):
        raise PermissionError(errno.EACCES, "Permission denied", "/elsewhere")


def test_a_read_only_folder():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder, OLD)
        folder.chmod(0o555)
        for whole, path in (
            (whole_file, folder / "a.txt"),
            (whole_folder, folder / "new"),
            (whole_files, folder),
        ):
            with not_root(), pytest.raises(PromptgraftError) as caught, whole(path):
                pass
            assert str(caught.value) == (
                f"cannot write {path}: Permission denied. What was there is unchanged; "
                "choose a folder that you may write to."
            )
        assert read(folder) == OLD


def test_a_sweep_where_one_may_not_write():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder / ".x.old-12345678", OLD)
        folder.chmod(0o555)
        with not_root():
            heal(folder / "x")
        assert names(folder) == [".x.old-12345678"]


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 64 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if os.getuid() or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("mounting a small file system takes root")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk(small_disk):
    write(small_disk / "x", OLD)
    big = b"x" * 100_000
    for whole, path in (
        (whole_file, small_disk / "x" / "a.txt"),
        (whole_folder, small_disk / "x"),
        (whole_folder, small_disk / "new"),
        (whole_files, small_disk / "x"),
    ):
        with pytest.raises(PromptgraftError) as caught, whole(path) as new:
            (new if whole is whole_file else new / "a.txt").write_bytes(big)
        assert str(caught.value) == (
            f"cannot write {path}: No space left on device. What was there is unchanged; "
            "free some space or choose another folder."
        )
        assert read(small_disk / "x") == OLD
        assert names(small_disk) == ["x"]


# Kills: a child process kills itself with SIGKILL right before its n-th change to the disk

STEPS = ("fsync", "mkdir", "open", "rename", "replace", "rmdir", "unlink")


def killed_at(step: int, work) -> bool:
    """Run `work` in a fork that dies before system call `step`; whether it came that far."""
    child = os.fork()
    if child == 0:
        count = 0

        def counted(call):
            def wrapper(*arguments, **named):
                nonlocal count
                count += 1
                if count == step:
                    os.kill(os.getpid(), signal.SIGKILL)
                return call(*arguments, **named)

            return wrapper

        for name in STEPS:
            setattr(os, name, counted(getattr(os, name)))
        try:
            work()
        finally:
            os._exit(0)
    status = os.waitpid(child, 0)[1]
    return os.WIFSIGNALED(status)


def every_kill(tmp_path, work):
    """The states of tmp_path/x after a kill at each step, healed, until one comes through."""
    for step in range(1, 200):
        root = tmp_path / str(step)
        write(root, {})
        write(root / "x", OLD)
        killed = killed_at(step, lambda root=root: work(root))
        heal(root / "x")
        yield root
        if not killed:
            assert step > 5
            return
    raise AssertionError("never came through")


def replace_folder(root: Path) -> None:
    with whole_folder(root / "x") as temporary:
        write(temporary, NEW)


def replace_files(root: Path) -> None:
    with whole_files(root / "x") as temporary:
        write(temporary, NEW)


def replace_file(root: Path) -> None:
    with whole_file(root / "x" / "a.txt") as temporary:
        temporary.write_text("new a")


@pytest.mark.parametrize(
    ("work", "after"),
    [
        (replace_folder, NEW),
        (replace_files, OLD | NEW),
        (replace_file, OLD | {"a.txt": "new a"}),
    ],
)
def test_a_kill_at_any_step_leaves_old_or_new(tmp_path, work, after):
    seen = []
    for root in every_kill(tmp_path, work):
        sweep(root)
        sweep(root / "x")
        assert names(root) == ["x"]  # nothing of the killed process stays
        state = read(root / "x")
        assert state in (OLD, after)
        seen.append(state == after)
        work(root)  # and nothing blocks the next one
        assert read(root / "x") == after
        assert names(root) == ["x"]
    assert seen == sorted(seen)  # old before some step, new from there on
    assert len(set(seen)) == 2


def test_a_kill_while_removing_never_leaves_a_part(tmp_path):
    states = []
    for root in every_kill(tmp_path, lambda root: remove_folder(root / "x")):
        sweep(root)
        assert names(root) in ([], ["x"])
        states.append(read(root / "x") if names(root) else {})
    assert all(state in (OLD, {}) for state in states)
    assert {} in states


def test_what_was_replaced_does_not_come_back_after_removal(tmp_path):
    for root in every_kill(tmp_path, replace_folder):
        remove_folder(root / "x")
        heal(root / "x")
        assert names(root) == []


# Several at once


def test_a_sweep_spares_living_writers(tmp_path):
    with whole_folder(tmp_path / "x") as one, whole_file(tmp_path / "y") as two:
        sweep(tmp_path)
        assert one.exists()
        assert two.exists()


def test_a_sweep_touches_only_our_names(tmp_path):
    kept = [".x.new", ".x.new-1234567", ".git", "x.new-12345678", ".x.old-1234567g"]
    for name in kept:
        (tmp_path / name).mkdir()
    (tmp_path / ".x.new-12345678").mkdir()
    sweep(tmp_path)
    assert names(tmp_path) == sorted(kept)


def test_names_that_look_like_leftovers_of_each_other(tmp_path):
    """The temporary of "x.old-1" must not be taken for an old copy of "x"."""
    with whole_folder(tmp_path / "x.old-1") as temporary:
        write(temporary, OLD)
        heal(tmp_path / "x")
        assert not (tmp_path / "x").exists()
    assert read(tmp_path / "x.old-1") == OLD


CONTEND = """
import sys
from pathlib import Path
from promptgraft import files
whole, path, me = getattr(files, sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
for turn in range(25):
    with whole(path) as temporary:
        for name in ("a", "b"):
            (temporary / name).write_text(f"{me} {turn}")
    files.heal(path)
"""


@pytest.mark.parametrize("whole", ["whole_folder", "whole_files"])
def test_writers_at_once_do_not_fail_and_one_of_them_wins(tmp_path, whole):
    path = tmp_path / "x"
    path.mkdir()
    command = [sys.executable, "-c", CONTEND, whole, str(path)]
    children = [
        subprocess.Popen([*command, me], stderr=subprocess.PIPE) for me in ("one", "two", "three")
    ]
    for child in children:
        assert (child.communicate()[1], child.returncode) == (b"", 0)
    assert names(tmp_path) == ["x"]
    assert sorted(read(path)) == ["a", "b"]
    assert len(set(read(path).values())) == 1


# Several folders at once, and other places


def test_many_new_folders_appear_together_at_the_end(tmp_path):
    paths = [tmp_path / "a" / "x", tmp_path / "b" / "y"]
    with whole_folders(paths) as new:
        for temporary in new:
            write(temporary, NEW)
        assert not any(path.exists() for path in paths)
    assert [read(path) for path in paths] == [NEW, NEW]
    with pytest.raises(ValueError, match="no"), whole_folders([tmp_path / "z"]):
        raise ValueError("no")
    assert names(tmp_path) == ["a", "b"]


def test_a_folder_that_is_there_is_not_replaced_unasked(tmp_path):
    write(tmp_path / "x", OLD)
    for writer in (
        lambda: whole_folder(tmp_path / "x", replace=False),
        lambda: whole_folders([tmp_path / "x"]),
    ):
        with pytest.raises(PromptgraftError, match="File exists"), writer():
            pass
        assert read(tmp_path / "x") == OLD
    assert names(tmp_path) == ["x"]


def test_move_folder(tmp_path):
    write(tmp_path / "x", OLD)
    move_folder(tmp_path / "x", tmp_path / "deep" / "y")
    assert read(tmp_path / "deep" / "y") == OLD
    write(tmp_path / "x", NEW)
    with pytest.raises(PromptgraftError, match="File exists"):
        move_folder(tmp_path / "x", tmp_path / "deep" / "y")
    assert read(tmp_path / "x") == NEW
    assert read(tmp_path / "deep" / "y") == OLD
