"""How a published data set is laid out on disk, and what becomes of its records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from promptgraft.errors import DataError
from promptgraft.tasks.readers import Placed, Row, Source


@dataclass(frozen=True)
class Form:
    """The official form of a data set.

    files    split -> patterns below the data's folder; the first that finds files counts
    records  (file, split) -> its records as they stand there, each with its place
    rows     (place, record, training) -> its rows, with `source` and a list `references`; a record
             has the keys of the official file or those of the hub
    merged   outside training, rows of equal source become one with all their references

    In training every reference is a row of its own.
    """

    files: Mapping[str, tuple[str, ...]]
    records: Callable[[Path, str], Placed]
    rows: Callable[[str, Row, bool], Iterable[Row]]
    merged: bool = False

    def find(self, folder: Path) -> dict[str, list[Path]]:
        """Split -> its files, for the splits that are there."""
        found = {}
        for split, patterns in self.files.items():
            matches = (sorted(folder.glob(f"**/{pattern}")) for pattern in patterns)
            if files := next(filter(None, matches), None):
                found[split] = files
        return found

    def sources(self, folder: Path) -> dict[str, Source]:
        """Split -> rows, for the files of a folder. Raises DataError if there are none."""
        found = self.find(folder)
        if not found:
            wanted = ", ".join(patterns[0] for patterns in self.files.values())
            raise DataError(f"{folder} has none of the files of this format: {wanted}, ...")
        return {
            split: partial(self._read, str(folder), files, split) for split, files in found.items()
        }

    def source(self, file: Path, split: str) -> Source:
        """The rows of one file; DataError now if there is no such file."""
        if not file.is_file():
            raise DataError(f"There is no file {file}.")
        return partial(self._read, str(file), [file], split)

    def of(self, records: Source, place: str, split: str) -> Source:
        """The rows of records that were read elsewhere, such as on the hub."""
        return partial(self._rows, place, records, split)

    def _read(self, place: str, files: Sequence[Path], split: str) -> Placed:
        def records() -> Placed:
            return chain.from_iterable(self.records(file, split) for file in files)

        return self._rows(place, records, split)

    def _rows(self, place: str, records: Source, split: str) -> Placed:
        training = split == "train"
        rows = ((at, row) for at, record in records() for row in self.rows(at, record, training))
        if training:
            return _one_by_one(rows)
        return _together(rows) if self.merged else rows


def _one_by_one(rows: Placed) -> Placed:
    for place, row in rows:
        rest = {name: value for name, value in row.items() if name != "references"}
        for reference in row["references"]:
            yield place, {**rest, "target": reference}


def _together(rows: Placed) -> Placed:
    merged: dict[str, tuple[str, Row]] = {}
    for place, row in rows:
        if row["source"] in merged:
            merged[row["source"]][1]["references"] += row["references"]
        else:
            merged[row["source"]] = place, row
    return iter(merged.values())


def need(place: str, record: Row, *names: str) -> Any:
    """The value of the first of these keys that the record has; DataError if it has none."""
    for name in names:
        if record.get(name) is not None:
            return record[name]
    raise DataError(
        f"{place}: no {' or '.join(map(repr, names))}; there is {', '.join(record) or 'nothing'}."
    )


def objects(place: str, value: Any) -> list[Row]:
    """A list of objects, which the hub keeps as one object of lists."""
    if isinstance(value, Mapping):
        return [dict(zip(value, items, strict=True)) for items in zip(*value.values(), strict=True)]
    if isinstance(value, list) and all(isinstance(item, Mapping) for item in value):
        return value
    raise DataError(f"{place}: expected a list of objects, got {str(value)[:60]}.")


def as_they_are(
    file: Path, records: Iterable[Any], what: str = "entry"
) -> Iterator[tuple[str, Row]]:
    """The objects of a JSON list, each with its place."""
    for number, record in enumerate(records, start=1):
        place = f"{file}, {what} {number}"
        if not isinstance(record, Mapping):
            raise DataError(f"{place}: expected an object, got {str(record)[:60]}.")
        yield place, dict(record)
