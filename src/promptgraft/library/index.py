"""What is in a library, for quick answers: made from the folders and kept up to date with them.

A shard's folder changes its stamp (inode and times) whenever a prompt comes into it, leaves it or
is replaced by the library, whoever does it: only shards with another stamp than at the last look
are read again, and of these only the prompts with another stamp. So a crash, a copy by rsync or a
lost index cost time, nothing else. Stamps are compared for equality alone and are not trusted while
they are younger than `TRUSTED` (two changes may fall into one tick of the clock) or in the future
(a clock that went backwards).
"""

import hashlib
import json
import os
import re
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from promptgraft import files
from promptgraft.errors import PromptgraftError
from promptgraft.library import filters, names
from promptgraft.library.database import Database, writing
from promptgraft.library.fields import flat
from promptgraft.prompts import PromptCard, load_card, load_content_hash

TRUSTED = 2_000_000_000  # nanoseconds
SHARD = re.compile("[0-9a-f]{2}")
ROOT = ""  # prompts may also lie beside the shards
UNSEARCHED = ("schema_version", "curve")


class Found(NamedTuple):
    """A folder as it was read: a prompt, or the reason why it is none."""

    shard: str
    folder: str
    stamp: str
    reason: str = ""
    name: str = ""
    card: PromptCard | None = None
    content_hash: str = ""


class Index:
    """The index of the library in a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.database = Database(root)

    def refresh(self) -> None:
        """Take in what changed in the folders since the last look."""
        self.database.run(self._refresh)

    def rebuild(self) -> None:
        """Forget everything and read every folder."""
        self.database.discard()
        self.refresh()

    def take_in(self, folders: Iterable[Path]) -> None:
        """Take in folders that were just written, moved or removed."""
        found = [(_shard(self.root, folder), folder.name) for folder in folders]
        read = [_read(self.root, shard, folder) for shard, folder in found]

        def work(database: sqlite3.Connection) -> None:
            with writing(database):
                for shard, folder in found:
                    _forget(database, shard, [folder])
                _keep(database, read)

        self.database.run(work)

    def names(self, pattern: str = "*", where: str | None = None) -> list[str]:
        """The names that fit a glob, of prompts whose cards pass a filter, sorted."""

        def work(database: sqlite3.Connection) -> list[str]:
            chosen = filters.Condition("1", ())
            if where is not None:
                chosen = self._condition(database, where)
            found = database.execute(
                f"SELECT name FROM prompts WHERE name GLOB ? AND {chosen.sql} ORDER BY name",
                (filters.glob(pattern), *chosen.values),
            )
            return [name for (name,) in found]

        return self.database.run(work)

    def broken(self) -> list[tuple[str, str, str]]:
        """Shard, folder and reason of what is no prompt."""
        return self._all("SELECT shard, folder, reason FROM broken ORDER BY folder")

    def card(self, name: str) -> PromptCard | None:
        """The card of this name, if the index has it."""
        found = self._all("SELECT card FROM cards JOIN prompts USING (id) WHERE name = ?", name)
        return PromptCard.model_validate_json(found[0][0]) if found else None

    def count(self) -> int:
        return int(self._all("SELECT count(*) FROM prompts")[0][0])

    def with_content(self, content_hash: str) -> list[str]:
        """The names of the prompts with these numbers."""
        sql = "SELECT name FROM prompts WHERE content_hash = ? ORDER BY name"
        return [name for (name,) in self._all(sql, content_hash)]

    def content_hash(self, name: str) -> str | None:
        found = self._all("SELECT content_hash FROM prompts WHERE name = ?", name)
        return found[0][0] if found else None

    def made_from(self, content_hash: str) -> list[str]:
        """The names of the prompts that have these numbers for a parent."""
        sql = (
            "SELECT prompts.name FROM fields JOIN names USING (field) JOIN prompts ON prompt = id "
            "WHERE names.name = 'parents.content_hash' AND value = ? ORDER BY prompts.name"
        )
        return [name for (name,) in self._all(sql, content_hash)]

    def duplicates(self) -> list[list[str]]:
        """Names that stand for the same numbers, in groups."""
        sql = (
            "SELECT group_concat(name, char(10)) FROM "
            "(SELECT name, content_hash FROM prompts ORDER BY name) "
            "GROUP BY content_hash HAVING count(*) > 1 ORDER BY min(name)"
        )
        return [group.split("\n") for (group,) in self._all(sql)]

    def sketches(self, space: str) -> tuple[list[int], bytes]:
        """The numbers of a space's prompts that have a sketch, and the sketches in a row."""
        sql = "SELECT id, sketch FROM sketches WHERE space = ?"
        found = self._all(sql, space)
        return [number for number, _ in found], b"".join(sketch for _, sketch in found)

    def unsketched(self, space: str) -> list[str]:
        """The names of a space's prompts without a sketch."""
        sql = (
            "SELECT name FROM prompts LEFT JOIN sketches USING (id) "
            "WHERE prompts.space = ? AND sketches.id IS NULL"
        )
        return [name for (name,) in self._all(sql, space)]

    def keep_sketches(self, found: Iterable[tuple[str, str, bytes]]) -> None:
        """Keep the sketches of prompts, given as name, content hash and sketch.

        They stay as long as the prompt of that name has that content.
        """
        rows = [(sketch, name, content) for name, content, sketch in found]
        sql = (
            "INSERT OR REPLACE INTO sketches SELECT id, space, ? FROM prompts "
            "WHERE name = ? AND content_hash = ?"
        )

        def work(database: sqlite3.Connection) -> None:
            with writing(database):
                database.executemany(sql, rows)

        self.database.run(work)

    def names_of(self, numbers: Iterable[int]) -> list[str]:
        """The names of prompts given by number, in this order; those that are gone are left out."""
        sql = "SELECT name FROM prompts WHERE id = ?"
        return [name for number in numbers for (name,) in self._all(sql, number)]

    def _all(self, sql: str, *values: Any) -> list[Any]:
        return self.database.run(lambda database: database.execute(sql, values).fetchall())

    def _condition(self, database: sqlite3.Connection, where: str) -> filters.Condition:
        known = dict(database.execute("SELECT name, field FROM names"))

        def fields(name: str) -> list[int]:
            return [known[field] for field in filters.matching(name, list(known))]

        return filters.condition(where, fields, list(known))

    def _refresh(self, database: sqlite3.Connection) -> None:
        shards = dict(database.execute("SELECT shard, stamp FROM shards"))
        seen = {ROOT: ""}
        for item in _scan(self.root):
            if SHARD.fullmatch(item.name):
                with suppress(FileNotFoundError):  # removed this moment, and the next look knows
                    seen[item.name] = _stamp(item.stat())
        for shard, stamp in sorted(seen.items()):
            if shard == ROOT or shards.get(shard) != stamp:
                self._look(database, shard, stamp)
        for shard in shards.keys() - seen.keys():
            with writing(database):
                gone = _known(database, shard)
                _forget(database, shard, gone)
                database.execute("DELETE FROM shards WHERE shard = ?", (shard,))

    def _look(self, database: sqlite3.Connection, shard: str, stamp: str) -> None:
        """Compare a shard with what is known of it. The stamp was taken before."""
        files.sweep(self.root / shard)
        known = _known(database, shard)
        stamps = {}
        for item in _scan(self.root / shard):
            if shard != ROOT or not SHARD.fullmatch(item.name):
                with suppress(FileNotFoundError):
                    stamps[item.name] = _own_stamp(self.root, shard, item.name, item.stat())
        changed = [folder for folder, own in stamps.items() if known.get(folder) != own]
        gone = known.keys() - stamps.keys()
        trusted = stamp if shard != ROOT and _is_old(stamp) else None
        if not changed and not gone and trusted is None:
            return
        found = [_read(self.root, shard, folder) for folder in changed]
        with writing(database):
            _forget(database, shard, [*changed, *gone])
            _keep(database, found)
            if trusted is not None:
                database.execute("INSERT OR REPLACE INTO shards VALUES (?, ?)", (shard, trusted))


def shard_of(folder: str) -> str:
    """Where a prompt's folder is kept: one of 256, evenly filled."""
    return hashlib.sha256(folder.encode()).hexdigest()[:2]


def space_of(card: PromptCard) -> str:
    """Prompts of one space can be compared: the kind and the model."""
    return f"{card.kind} {card.base.identity}"


def _shard(root: Path, folder: Path) -> str:
    return ROOT if folder.parent == root else folder.parent.name


def _scan(folder: Path) -> Iterator[os.DirEntry[str]]:
    """The folders in a folder that are not hidden."""
    with suppress(FileNotFoundError), os.scandir(folder) as items:
        for item in items:
            if not item.name.startswith(".") and item.is_dir():
                yield item


def _has_twin(root: Path, shard: str, folder: str) -> bool:
    """Whether a folder beside the shards is also in its shard, where it counts."""
    return shard == ROOT and (root / shard_of(folder) / folder).is_dir()


def _own_stamp(root: Path, shard: str, folder: str, status: os.stat_result) -> str:
    """The stamp of a prompt's folder."""
    return _stamp(status) + (" twin" if _has_twin(root, shard, folder) else "")


def _stamp(status: os.stat_result) -> str:
    return f"{status.st_ino} {status.st_mtime_ns} {status.st_ctime_ns}"


def _is_old(stamp: str) -> bool:
    return time.time_ns() - max(map(int, stamp.split()[1:])) > TRUSTED


def _read(root: Path, shard: str, folder: str) -> Found | None:
    """Read a folder; None if there is none."""
    path = root / shard / folder
    stamp = ""  # taken before reading: what changes later has another one
    try:
        stamp = _own_stamp(root, shard, folder, path.stat())
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


def _known(database: sqlite3.Connection, shard: str) -> dict[str, str]:
    """The stamps of the folders that are known in a shard."""
    rows = database.execute("SELECT name, stamp FROM prompts WHERE shard = ?", (shard,))
    known = {names.to_folder(name): stamp for name, stamp in rows}
    rows = database.execute("SELECT folder, stamp FROM broken WHERE shard = ?", (shard,))
    return known | dict(rows)


def _forget(database: sqlite3.Connection, shard: str, folders: Iterable[str]) -> None:
    for folder in folders:
        database.execute("DELETE FROM broken WHERE shard = ? AND folder = ?", (shard, folder))
        try:
            name = names.from_folder(folder)
        except PromptgraftError:
            continue
        _forget_prompt(database, "name = ? AND shard = ?", (name, shard))


def _forget_prompt(database: sqlite3.Connection, which: str, values: tuple[str, ...]) -> None:
    found = database.execute(
        f"SELECT id, card FROM prompts JOIN cards USING (id) WHERE {which}", values
    ).fetchone()
    if found is None:
        return
    number, card = found
    sql = "DELETE FROM fields WHERE field = ? AND value = ? AND prompt = ?"
    database.executemany(sql, _fields(database, card, number))
    for table in ("prompts", "cards", "sketches"):
        database.execute(f"DELETE FROM {table} WHERE id = ?", (number,))


def _keep(database: sqlite3.Connection, found: Iterable[Found | None]) -> None:
    for one in found:
        if one is None:
            continue
        if one.card is None:
            database.execute("INSERT OR REPLACE INTO broken VALUES (?, ?, ?, ?)", one[:4])
            continue
        _forget_prompt(database, "name = ?", (one.name,))  # it was in the root
        number = database.execute(
            "INSERT INTO prompts (name, shard, stamp, content_hash, space) VALUES (?, ?, ?, ?, ?)",
            (one.name, one.shard, one.stamp, one.content_hash, space_of(one.card)),
        ).lastrowid
        text = one.card.model_dump_json()
        database.execute("INSERT INTO cards VALUES (?, ?)", (number, text))
        sql = "INSERT OR IGNORE INTO fields VALUES (?, ?, ?)"
        database.executemany(sql, _fields(database, text, number))


def _fields(database: sqlite3.Connection, card: str, prompt: int | None) -> list[tuple[Any, ...]]:
    """The rows of the table `fields` for a card."""
    record = {name: value for name, value in json.loads(card).items() if name not in UNSEARCHED}
    return [(_field(database, name), value, prompt) for name, value in flat(record)]


def _field(database: sqlite3.Connection, name: str) -> int:
    """The number of a card field, given when it is first seen."""
    sql = "SELECT field FROM names WHERE name = ?"
    found = database.execute(sql, (name,)).fetchone()
    if found is None:
        database.execute("INSERT INTO names (name) VALUES (?)", (name,))
        found = database.execute(sql, (name,)).fetchone()
    return int(found[0])
