"""Measurements that are made once: a study that was stopped goes on where it was, and one that is
started twice on a folder is shared by the two processes."""

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

Measurement = tuple[Any, Callable[[], Any]]  # what is measured and how; JSON can hold key and value


class Memo:
    """Values by what they were measured of, kept as lines of a JSON file.

    While a key is measured it is locked: another process with the same file measures something
    else meanwhile. The locks of a killed process are gone with it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.values: dict[str, Any] = {}
        self._read_to = 0  # bytes
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        self._locks = path.with_suffix(".lock").open("w")
        with self._locked(_WRITING):
            self._read()
            os.truncate(path, self._read_to)  # a killed process may have left half a line

    def __call__(self, key: Any, measure: Callable[[], Any]) -> Any:
        """The value of a key, measured if it is not known."""
        return self.all([(key, measure)])[0]

    def all(self, wanted: Sequence[Measurement]) -> list[Any]:
        """The values of several keys, first those that no other process is measuring."""
        names = [json.dumps(key) for key, _ in wanted]
        for wait in (False, True):
            for name, (_, measure) in zip(names, wanted, strict=True):
                if name not in self.values:
                    with self._locked(_place(name), wait) as own:
                        self._read()
                        if own and name not in self.values:
                            self._keep(name, measure())
        return [self.values[name] for name in names]

    def alone(self, key: Any, wait: bool = True) -> AbstractContextManager[bool]:
        """While the block lasts no other process is in one of the same key; False if one is and
        we do not wait."""
        return self._locked(_place(json.dumps(key)), wait)

    def _keep(self, name: str, value: Any) -> None:
        line = f"[{name}, {json.dumps(value)}]\n"
        with self._locked(_WRITING), self.path.open("a", encoding="utf-8") as lines:
            lines.write(line)
        self._read()

    def _read(self) -> None:
        """What was written since, up to the last whole line."""
        with self.path.open("rb") as stream:
            stream.seek(self._read_to)
            text = stream.read()
        whole = text[: text.rfind(b"\n") + 1]
        for line in whole.splitlines():
            key, value = json.loads(line)
            self.values[json.dumps(key)] = value
        self._read_to += len(whole)

    @contextmanager
    def _locked(self, place: int, wait: bool = True) -> Iterator[bool]:
        """Hold one byte of the lock file; False if another process does and we do not wait."""
        try:
            fcntl.lockf(self._locks, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB), 1, place)
        except (BlockingIOError, PermissionError):
            yield False
            return
        try:
            yield True
        finally:
            fcntl.lockf(self._locks, fcntl.LOCK_UN, 1, place)


_WRITING = 0  # the byte that is locked while the file is written


def _place(name: str) -> int:
    """The byte that is locked while a key is measured."""
    return 1 + int.from_bytes(hashlib.sha256(name.encode()).digest()[:7], "big")
