"""The folders of a library as they are on the disk: shards, prompts, and the stamps of both."""

import hashlib
import os
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from promptgraft.errors import PromptgraftError
from promptgraft.library import names
from promptgraft.prompts import PromptCard, load_card, load_content_hash

TRUSTED = 2_000_000_000  # nanoseconds
SHARD = re.compile("[0-9a-f]{2}")
ROOT = ""  # prompts may also lie beside the shards


class Found(NamedTuple):
    """A folder as it was read: a prompt, or the reason why it is none."""

    shard: str
    folder: str
    stamp: str
    reason: str = ""
    name: str = ""
    card: PromptCard | None = None
    content_hash: str = ""


def shard_of(folder: str) -> str:
    """Where a prompt's folder is kept: one of 256, evenly filled."""
    return hashlib.sha256(folder.encode()).hexdigest()[:2]


def shard_at(root: Path, folder: Path) -> str:
    return ROOT if folder.parent == root else folder.parent.name


def visible(folder: Path) -> Iterator[os.DirEntry[str]]:
    """The folders in a folder that are not hidden."""
    with suppress(FileNotFoundError), os.scandir(folder) as items:
        for item in items:
            if not item.name.startswith(".") and item.is_dir():
                yield item


def holds_any(root: Path) -> bool:
    """Whether any folder, in a shard or beside, has the name of a prompt, whole or broken."""
    shards = (root / item.name for item in visible(root) if SHARD.fullmatch(item.name))
    return any(_is_named(item.name) for place in (root, *shards) for item in visible(place))


def _is_named(folder: str) -> bool:
    try:
        names.from_folder(folder)
    except PromptgraftError:
        return False
    return True


def _has_twin(root: Path, shard: str, folder: str) -> bool:
    """Whether a folder beside the shards is also in its shard, where it counts."""
    return shard == ROOT and (root / shard_of(folder) / folder).is_dir()


def own_stamp(root: Path, shard: str, folder: str, status: os.stat_result) -> str:
    """The stamp of a prompt's folder."""
    return stamp_of(status) + (" twin" if _has_twin(root, shard, folder) else "")


def stamp_of(status: os.stat_result) -> str:
    return f"{status.st_ino} {status.st_mtime_ns} {status.st_ctime_ns}"


def is_old(stamp: str) -> bool:
    return time.time_ns() - max(map(int, stamp.split()[1:])) > TRUSTED


def read(root: Path, shard: str, folder: str) -> Found | None:
    """Read a folder; None if there is none."""
    path = root / shard / folder
    stamp = ""  # taken before reading: what changes later has another one
    try:
        stamp = own_stamp(root, shard, folder, path.stat())
        name = names.from_folder(folder)
        if _has_twin(root, shard, folder):
            raise PromptgraftError(
                f"{path}: a second folder of {name}; the one in {shard_of(folder)} counts."
            )
        if shard not in (ROOT, shard_of(folder)):
            raise PromptgraftError(
                f"{path}: in the wrong shard; move it to {root} or {root / shard_of(folder)}."
            )
        card = load_card(path)
        return Found(shard, folder, stamp, "", name, card, load_content_hash(path))
    except (PromptgraftError, OSError) as error:
        return Found(shard, folder, stamp, str(error)) if path.is_dir() else None
