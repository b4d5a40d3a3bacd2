"""Prompts as rows of the index's tables, and what is broken."""

import json
import sqlite3
from collections.abc import Iterable
from typing import Any

from promptgraft.errors import PromptgraftError
from promptgraft.library import names
from promptgraft.library.fields import flat
from promptgraft.library.shards import Found
from promptgraft.prompts import PromptCard

UNSEARCHED = ("schema_version", "curve")


def space_of(card: PromptCard) -> str:
    """Prompts of one space can be compared: the kind and the model."""
    return f"{card.kind} {card.base.identity}"


def known(database: sqlite3.Connection, shard: str) -> dict[str, str]:
    """The stamps of the folders that are known in a shard."""
    rows = database.execute("SELECT name, stamp FROM prompts WHERE shard = ?", (shard,))
    known = {names.to_folder(name): stamp for name, stamp in rows}
    rows = database.execute("SELECT folder, stamp FROM broken WHERE shard = ?", (shard,))
    return known | dict(rows)


def forget(database: sqlite3.Connection, shard: str, folders: Iterable[str]) -> None:
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


def keep(database: sqlite3.Connection, found: Iterable[Found | None]) -> None:
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
