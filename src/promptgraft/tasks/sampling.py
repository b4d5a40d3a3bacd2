"""Samples of rows by hash: the same on every machine, whatever the order of the file.

Rows are ranked by SHA-256 of the seed and their content, so a smaller sample of a seed is part of
every larger one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence

from promptgraft.errors import DataError
from promptgraft.tasks.readers import Row
from promptgraft.tasks.schema import label_key


def content(row: Row, fields: Iterable[str] | None = None) -> str:
    """The row, or some of its fields, as one line of JSON with sorted keys."""
    kept = row if fields is None else {field: row[field] for field in fields}
    return json.dumps(kept, sort_keys=True, ensure_ascii=False, default=str)


def data_hash(rows: Iterable[Row]) -> str:
    """SHA-256, in hexadecimal, over the rows in their order."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(content(row).encode("utf-8", "surrogatepass") + b"\n")
    return digest.hexdigest()


def ranked(texts: Iterable[str], seed: int) -> list[str]:
    """The different texts in the order of a seed."""

    def rank(text: str) -> bytes:
        return hashlib.sha256(f"{seed}\n{text}".encode("utf-8", "surrogatepass")).digest()

    return sorted(set(texts), key=rank)


def sample(rows: Sequence[Row], n: int, seed: int) -> list[Row]:
    """n different rows; all of them if there are fewer."""
    if n < 1:
        raise DataError(f"A sample has at least one row; asked for {n}.")
    by_content = {content(row): row for row in rows}
    return [by_content[text] for text in ranked(by_content, seed)[:n]]


def sample_per_label(rows: Sequence[Row], n: int, seed: int, labels: Iterable[str]) -> list[Row]:
    """n different rows of every label, label by label.

    Raises DataError if a label has fewer.
    """
    groups: dict[str, list[Row]] = {label: [] for label in labels}
    for row in rows:
        groups[label_key(row["label"])].append(row)
    samples = {label: sample(group, n, seed) for label, group in groups.items()}
    short = {label: len(chosen) for label, chosen in samples.items() if len(chosen) < n}
    if short:
        counts = ", ".join(f"{label} has {count}" for label, count in short.items())
        raise DataError(
            f"{n} different training rows for each label are not there: {counts}. "
            f"Ask for {min(short.values())} or fewer."
        )
    return [row for chosen in samples.values() for row in chosen]


def divide(
    rows: Sequence[Row], inputs: Sequence[str], parts: dict[str, int]
) -> dict[str, list[Row]]:
    """Divide rows into parts of the given per cent, and "train" with the rest.

    Rows with equal inputs go to the same part, so that no test input is seen in training. Raises
    DataError if there are too few different inputs for one in every part.
    """
    keys = [content(row, inputs) for row in rows]
    order = ranked(keys, seed=0)
    if len(order) <= len(parts):
        raise DataError(
            f"{len(order)} different inputs are too few to divide into train, {', '.join(parts)}. "
            "Give a file for each split: validation=<file>."
        )
    where: dict[str, str] = {}
    start = 0
    for name, percent in parts.items():
        end = start + max(1, len(order) * percent // 100)
        where |= dict.fromkeys(order[start:end], name)
        start = end
    where |= dict.fromkeys(order[start:], "train")
    divided: dict[str, list[Row]] = {name: [] for name in ("train", *parts)}
    for key, row in zip(keys, rows, strict=True):
        divided[where[key]].append(row)
    return divided
