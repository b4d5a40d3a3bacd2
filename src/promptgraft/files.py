"""Files and folders that are there whole or not at all, whenever the process is killed.

Everything is written under a hidden temporary name beside its place, flushed to the disk, then
renamed. What a killed process leaves behind has one of three names, and `heal` and `sweep` know
what to do with each:

    .<name>.new-<token>   not finished: deleted
    .<name>.old-<token>   moved aside to be replaced: brought back if <name> is missing
    .commit               finished files on their way into the folder: moved on
"""

import errno
import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from promptgraft.errors import PromptgraftError

_LEFTOVER = re.compile(r"\.(?P<name>.+)\.(?P<state>new|old)-[0-9a-f]{8}", re.DOTALL)
_COMMIT = ".commit"

_SPACE = "free some space or choose another folder"
_WRITABLE = "choose a folder that you may write to"
_PATH = "choose another path"
_WAY_OUT = {
    errno.ENOSPC: _SPACE,
    errno.EDQUOT: _SPACE,
    errno.EROFS: _WRITABLE,
    errno.EACCES: _WRITABLE,
    errno.EPERM: _WRITABLE,
    errno.EEXIST: _PATH,
    errno.EISDIR: _PATH,
    errno.ENOTDIR: _PATH,
    errno.ENAMETOOLONG: "choose a shorter name",
}


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path; when the block ends well, that file takes the place of `path`.

    Readers see the old file or the new one, never a part. On an error nothing is left behind;
    a full disk or a folder without write permission is a PromptgraftError.
    """
    path = path.resolve()
    with _clear_errors(path), _temporary(path, folder=False) as temporary:
        yield temporary
        _flush(temporary)
        temporary.replace(path)
        _flush(path.parent)


@contextmanager
def whole_folder(path: Path, replace: bool = True) -> Iterator[Path]:
    """Yield a temporary folder; when the block ends well, it takes the place of `path`.

    A folder that was there is moved aside and then deleted with all it held. If the process is
    killed between these two renames, `heal(path)` brings the old folder back: call it before
    reading. Errors as in `whole_file`; without `replace` also if there is such a folder by then.
    """
    path = path.resolve()
    with _clear_errors(path), _temporary(path, folder=True) as temporary:
        yield temporary
        _flush_tree(temporary)
        _take_place(temporary, path, replace)
        _flush(path.parent)


@contextmanager
def whole_folders(paths: Sequence[Path]) -> Iterator[list[Path]]:
    """Like `whole_folder` for many new folders at once, flushed to the disk together.

    Each is there whole or not at all; an error in the block leaves none of them. A folder that is
    there by the end is not replaced but an error, and those before it stay.
    """
    paths = [path.resolve() for path in paths]
    with ExitStack() as stack:
        temporaries = []
        for path in paths:
            stack.enter_context(_clear_errors(path))
            temporaries.append(stack.enter_context(_temporary(path, folder=True)))
        yield temporaries
        os.sync()  # one call for thousands of files, each of which would wait for the disk
        for temporary, path in zip(temporaries, paths, strict=True):
            with _clear_errors(path):
                _take_place(temporary, path, replace=False)
        os.sync()


def _take_place(temporary: Path, path: Path, replace: bool) -> None:
    with _locked(path.parent):  # another writer moves the folder aside for a moment
        if not path.exists():
            temporary.rename(path)
            return
        if not path.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
        if not replace:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
        aside = temporary.with_name(temporary.name.replace(".new-", ".old-"))
        path.rename(aside)
        try:
            temporary.rename(path)
        except BaseException:
            aside.rename(path)
            raise
        aside.rename(temporary)  # no longer worth bringing back


@contextmanager
def whole_files(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder; when the block ends well, its files move into `folder` together.

    The folder's other files stay. If the process is killed before the first file has moved, none
    of them ever does; if it is killed later, `heal(folder)` moves the rest: call it before
    reading. Errors as in `whole_file`.
    """
    folder = folder.resolve()
    with _clear_errors(folder), _temporary(folder / "files", folder=True) as temporary:
        yield temporary
        _flush_tree(temporary)
        with _locked(folder):
            _finish(folder)
            temporary.rename(folder / _COMMIT)
            _finish(folder)
    sweep(folder)


def remove_folder(path: Path) -> None:
    """Delete a folder; after the first moment nobody sees it any more, not even in part."""
    path = path.resolve()
    sweep(path.parent)  # else an older copy that lies aside would be brought back
    with _clear_errors(path), _temporary(path, folder=True) as temporary:
        path.rename(temporary)
        _flush(path.parent)


def move_folder(path: Path, target: Path) -> None:
    """Give a folder another name or place on the same disk, in one step. Errors as above, also if
    there is something at the target."""
    path, target = path.resolve(), target.resolve()
    sweep(path.parent)
    with _clear_errors(path), _clear_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        with _locked(target.parent):
            if target.exists():
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
            path.rename(target)
        _flush(target.parent)
        _flush(path.parent)


def heal(path: Path) -> None:
    """Bring a file or folder to rights whose writer was killed. Cheap when all is well."""
    path = path.resolve()
    if (path / _COMMIT).exists():
        with _clear_errors(path), _locked(path):
            _finish(path)
    elif not path.exists() and path.parent.is_dir():
        sweep(path.parent)


def sweep(folder: Path) -> None:
    """Heal what lies directly in `folder` and delete what killed writers left there.

    Where we may not read or write, all stays as it is.
    """
    leftovers = []
    with suppress(OSError):
        leftovers = [found for name in os.listdir(folder) if (found := _LEFTOVER.fullmatch(name))]
    if not leftovers:
        return
    with _locked(folder):
        for found in leftovers:
            leftover, place = folder / found[0], folder / found["name"]
            with suppress(OSError):  # also: its writer was alive and has finished meanwhile
                if found["state"] == "old" and not place.exists():
                    leftover.rename(place)
                elif _abandoned(leftover):
                    _delete(leftover)


@contextmanager
def _temporary(path: Path, folder: bool) -> Iterator[Path]:
    """A new, empty file or folder beside `path`, deleted at the end if it still has that name.

    Its writer holds a lock on it, so that `sweep` can tell it from an abandoned one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.new-{secrets.token_hex(4)}")
    with _locked(path.parent):  # a sweep waits until the temporary has its lock
        if folder:
            temporary.mkdir()
        else:
            temporary.touch(exist_ok=False)
        descriptor = os.open(temporary, os.O_RDONLY)
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    try:
        yield temporary
    finally:
        os.close(descriptor)
        _delete(temporary)


def _finish(folder: Path) -> None:
    """Move the files of an interrupted `whole_files` to their places."""
    commit = folder / _COMMIT
    with suppress(FileNotFoundError):  # without locks two may be at it; either finishes
        for file in sorted(commit.iterdir()):
            with suppress(FileNotFoundError):
                file.replace(folder / file.name)
        _flush(folder)
        commit.rmdir()


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Wait for the lock of a folder. It ends with the process at the latest, and leaves no file."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # some network file systems have no locks for folders
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _abandoned(leftover: Path) -> bool:
    descriptor = os.open(leftover, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # its writer is alive, or there are no locks to tell
        return False
    finally:
        os.close(descriptor)
    return True


def _delete(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def _clear_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        # What the caller's block opens elsewhere is the caller's matter.
        place = Path(error.filename or path)
        ours = place.is_relative_to(path.parent) or path.is_relative_to(place)
        if error.errno not in _WAY_OUT or not ours:
            raise
        raise PromptgraftError(
            f"cannot write {path}: {error.strerror}. What was there is unchanged; "
            f"{_WAY_OUT[error.errno]}."
        ) from error


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _flush_tree(folder: Path) -> None:
    for path in (*folder.rglob("*"), folder):
        _flush(path)
