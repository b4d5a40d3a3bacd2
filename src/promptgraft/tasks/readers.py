"""Rows from files, one at a time, each with the place it came from."""

from __future__ import annotations

import csv
import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from promptgraft.errors import DataError, did_you_mean

Row = dict[str, Any]
Placed = Iterator[tuple[str, Row]]  # ("reviews.csv, line 7", row)
Source = Callable[[], Placed]

FORMATS = ("jsonl", "jsonl.gz", "csv", "csv.gz", "tsv", "tsv.gz", "parquet")


def format_of(path: Path) -> str | None:
    """The one of FORMATS that the file's name ends in, or None."""
    name = path.name.lower()
    return next((ending for ending in reversed(FORMATS) if name.endswith(f".{ending}")), None)


def stem(path: Path) -> str:
    """The file's name without its format: "reviews" for reviews.jsonl.gz."""
    ending = format_of(path)
    return path.name[: -len(ending) - 1] if ending else path.stem


def read(path: Path) -> Placed:
    """Yield (place, row) for every row of a JSONL, CSV, TSV or Parquet file.

    CSV and TSV have a header line, and their values are texts. Raises DataError, with the file and
    the line, for a file that is missing, of another format, damaged, not UTF-8 or malformed.
    """
    if not path.is_file():
        near = did_you_mean(path.name, _siblings(path))
        raise DataError(f"There is no file {path}.{near}")
    ending = format_of(path)
    if ending is None:
        raise DataError(f"{path} is not of a known format; its name must end in {_endings()}.")
    if ending == "parquet":
        return _parquet(path)
    reader: Callable[[Path], Placed] = {"jsonl": _jsonl, "csv": _csv, "tsv": _csv}[
        ending.removesuffix(".gz")
    ]
    return reader(path)


def _endings() -> str:
    return ", ".join(f".{ending}" for ending in FORMATS)


def _siblings(path: Path) -> list[str]:
    return [file.name for file in path.parent.iterdir()] if path.parent.is_dir() else []


def lines(path: Path) -> Iterator[str]:
    """The file's lines as text; line ends are kept, for CSV values that hold some.

    Raises DataError, with the file and the line, where it is not UTF-8 or not whole.
    """
    number = 0
    try:
        with gzip.open(path) if path.name.lower().endswith(".gz") else path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                yield line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}, line {number}: the byte 0x{error.object[error.start]:02x} is not UTF-8. "
            "Save the file as UTF-8."
        ) from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(
            f"{path} is not a whole gzip file: {error} (after line {number})."
        ) from None


def document(path: Path) -> Any:
    """What a JSON file holds as a whole. Raises DataError with the file and the line."""
    try:
        return json.loads("".join(lines(path)))
    except json.JSONDecodeError as error:
        raise DataError(
            f"{path}, line {error.lineno}: not JSON ({error.msg}, column {error.colno})."
        ) from None


def _jsonl(path: Path) -> Placed:
    for number, line in enumerate(lines(path), start=1):
        if not line.strip():
            continue
        place = f"{path}, line {number}"
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(
                f"{place}: not JSON ({error.msg}, column {error.colno}): {_clip(line)}"
            ) from None
        if not isinstance(row, dict):
            raise DataError(
                f"{place}: expected a JSON object with one value for each field, got {_clip(line)}"
            )
        yield place, row


def _csv(path: Path) -> Placed:
    csv.field_size_limit(2**31 - 1)  # the default refuses texts of more than 131,072 characters
    delimiter = "\t" if ".tsv" in path.name.lower() else ","
    records = csv.reader(lines(path), delimiter=delimiter, strict=True)
    header: list[str] | None = None
    try:
        for record in records:
            if not record:
                continue
            if header is None:
                header = _header(path, record)
                continue
            place = f"{path}, line {records.line_num}"
            if len(record) != len(header):
                raise DataError(
                    f"{place}: {len(record)} values for the {len(header)} columns "
                    f'{", ".join(header)}. Quote values that hold the delimiter: "…".'
                )
            yield place, dict(zip(header, record, strict=True))
    except csv.Error as error:
        raise DataError(f"{path}, line {records.line_num}: {error}.") from None


def _header(path: Path, record: list[str]) -> list[str]:
    header = [name.strip() for name in record]
    if "" in header or len(set(header)) < len(header):
        raise DataError(
            f"{path}, line 1: expected a header with one name for each column, all different, "
            f"got {_clip(', '.join(map(repr, header)))}"
        )
    return header


def _parquet(path: Path) -> Placed:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise DataError(f"Reading {path} needs pyarrow: pip install 'promptgraft[hub]'.") from None
    try:
        with parquet.ParquetFile(path) as file:
            number = 0
            for batch in file.iter_batches():
                for row in batch.to_pylist():
                    number += 1
                    yield f"{path}, row {number}", row
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{path} is not a whole Parquet file: {error}") from None


def _clip(text: str) -> str:
    text = text.strip()
    return text if len(text) <= 60 else f"{text[:60]}…"
