"""The SQLite file of a library's index, or a copy in memory where it cannot be written.

It holds nothing that the folders do not say, so that any trouble with it has one answer: begin
anew, or go on in memory.
"""

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

VERSION = 1  # in the file's name: another promptgraft keeps an index of its own
FILE = f".index-{VERSION}.sqlite"
PATIENCE = 10.0  # seconds to wait for another process that writes

_SCHEMA = """
CREATE TABLE IF NOT EXISTS shards (shard TEXT PRIMARY KEY, stamp TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS prompts (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    shard TEXT NOT NULL,
    stamp TEXT NOT NULL,
    content_hash TEXT NOT NULL,
    space TEXT NOT NULL  -- prompts of one space can be compared: kind and model
);
CREATE INDEX IF NOT EXISTS by_content ON prompts (content_hash);
CREATE INDEX IF NOT EXISTS by_shard ON prompts (shard);
CREATE INDEX IF NOT EXISTS by_space ON prompts (space);
CREATE TABLE IF NOT EXISTS broken (
    shard TEXT, folder TEXT, stamp TEXT NOT NULL, reason TEXT NOT NULL,
    PRIMARY KEY (shard, folder)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS cards (id INTEGER PRIMARY KEY, card TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS names (field INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS fields (
    field INTEGER, value, prompt INTEGER, PRIMARY KEY (field, value, prompt)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sketches (id INTEGER PRIMARY KEY, space TEXT NOT NULL, sketch BLOB);
CREATE INDEX IF NOT EXISTS sketches_by_space ON sketches (space);
"""

Result = TypeVar("Result")


class Database:
    """One connection for each process; threads take turns."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        self._lock = threading.RLock()
        self._open: sqlite3.Connection | None = None
        self._owner = 0  # the process; a connection must not be used after a fork
        self._in_memory = False

    def run(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """What `work` returns; it may be called again if the file cannot be used."""
        with self._lock:
            while True:
                try:
                    return work(self._connection())
                except sqlite3.OperationalError:  # read-only, full, locked for too long, no locks
                    if self._in_memory:
                        raise
                    self._go_on_in_memory()
                except sqlite3.DatabaseError:  # damaged, or not a database
                    if self._in_memory:
                        raise
                    self._discard()

    def close(self) -> None:
        """Give the file back; the next `run` opens it again."""
        with self._lock:
            if self._open is not None and self._owner == os.getpid():
                self._open.close()
            self._open = None

    def discard(self) -> None:
        """Forget all; the next `run` begins with an empty database."""
        with self._lock:
            self._discard()

    def _connection(self) -> sqlite3.Connection:
        if self._open is None or self._owner != os.getpid():
            self._inherited = self._open  # not closed: closing touches the parent's files
            self._owner, self._in_memory = os.getpid(), False
            self._open = _connect(str(self.path))
            self._open.execute("PRAGMA journal_mode = WAL")
            self._open.execute("PRAGMA synchronous = NORMAL")
            self._open.executescript(_SCHEMA)
        return self._open

    def _go_on_in_memory(self) -> None:
        memory = _connect(":memory:")
        with suppress(sqlite3.Error), _reading(self.path) as stored:
            stored.backup(memory)
        memory.executescript(_SCHEMA)
        self._open, self._owner, self._in_memory = memory, os.getpid(), True

    def _discard(self) -> None:
        self.close()
        try:
            for end in ("", "-wal", "-shm"):
                self.path.with_name(FILE + end).unlink(missing_ok=True)
        except OSError:
            memory = _connect(":memory:")
            memory.executescript(_SCHEMA)
            self._open, self._owner, self._in_memory = memory, os.getpid(), True


@contextmanager
def writing(database: sqlite3.Connection) -> Iterator[None]:
    """All that is written in the block, or nothing of it."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        with suppress(sqlite3.Error):
            database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")


def _connect(path: str, uri: bool = False) -> sqlite3.Connection:
    return sqlite3.connect(
        path, timeout=PATIENCE, isolation_level=None, check_same_thread=False, uri=uri
    )


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    """The file as it is, without touching anything beside it."""
    stored = _connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
    try:
        yield stored
    finally:
        stored.close()
