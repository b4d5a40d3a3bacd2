"""What is in a library, for quick answers: made from the folders and kept up to date with them.

A shard's folder changes its stamp (inode and times) whenever a prompt comes into it, leaves it or
is replaced by the library, whoever does it: only shards with another stamp than at the last look
are read again, and of these only the prompts with another stamp. So a crash, a copy by rsync or a
lost index cost time, nothing else. Stamps are compared for equality alone, and are not trusted
while they are younger than `shards.TRUSTED` (two changes may fall into one tick of the clock) or in
the future (a clock that went backwards).
"""

import sqlite3
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from promptgraft import files
from promptgraft.library import filters, rows
from promptgraft.library.database import Database, writing
from promptgraft.library.shards import (
    ROOT,
    SHARD,
    is_old,
    own_stamp,
    read,
    shard_at,
    stamp_of,
    visible,
)
from promptgraft.prompts import PromptCard


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
        places = [(shard_at(self.root, folder), folder.name) for folder in folders]
        found = [read(self.root, shard, folder) for shard, folder in places]

        def work(database: sqlite3.Connection) -> None:
            with writing(database):
                for shard, folder in places:
                    rows.forget(database, shard, [folder])
                rows.keep(database, found)

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

    def broken(self, pattern: str = "*") -> list[tuple[str, str, str]]:
        """Shard, folder and reason of what is no prompt but would have a name that fits a glob."""
        found = self._all("SELECT shard, folder, reason FROM broken ORDER BY folder")
        return [one for one in found if filters.fits(unquote(one[1]), pattern)]

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
        sketches = [(sketch, name, content) for name, content, sketch in found]
        sql = (
            "INSERT OR REPLACE INTO sketches SELECT id, space, ? FROM prompts "
            "WHERE name = ? AND content_hash = ?"
        )

        def work(database: sqlite3.Connection) -> None:
            with writing(database):
                database.executemany(sql, sketches)

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
        for item in visible(self.root):
            if SHARD.fullmatch(item.name):
                with suppress(FileNotFoundError):  # removed this moment, and the next look knows
                    seen[item.name] = stamp_of(item.stat())
        for shard, stamp in sorted(seen.items()):
            if shard == ROOT or shards.get(shard) != stamp:
                self._look(database, shard, stamp)
        for shard in shards.keys() - seen.keys():
            with writing(database):
                gone = rows.known(database, shard)
                rows.forget(database, shard, gone)
                database.execute("DELETE FROM shards WHERE shard = ?", (shard,))

    def _look(self, database: sqlite3.Connection, shard: str, stamp: str) -> None:
        """Compare a shard with what is known of it. The stamp was taken before."""
        files.sweep(self.root / shard)
        known = rows.known(database, shard)
        stamps = {}
        for item in visible(self.root / shard):
            if shard != ROOT or not SHARD.fullmatch(item.name):
                with suppress(FileNotFoundError):
                    stamps[item.name] = own_stamp(self.root, shard, item.name, item.stat())
        changed = [folder for folder, own in stamps.items() if known.get(folder) != own]
        gone = known.keys() - stamps.keys()
        trusted = stamp if shard != ROOT and is_old(stamp) else None
        if not changed and not gone and trusted is None:
            return
        found = [read(self.root, shard, folder) for folder in changed]
        with writing(database):
            rows.forget(database, shard, [*changed, *gone])
            rows.keep(database, found)
            if trusted is not None:
                database.execute("INSERT OR REPLACE INTO shards VALUES (?, ?)", (shard, trusted))
