"""What a table seems to be a task of: which column is which, and a word for each label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from promptgraft.errors import DataError
from promptgraft.tasks.files import file_source, folder_sources
from promptgraft.tasks.readers import Row
from promptgraft.tasks.schema import label_key

LOOKED_AT = 2000  # rows
MOST_LABELS = 20
SCALES = {  # words for labels that are numbers, from the lowest to the highest
    2: ("bad", "good"),
    3: ("bad", "okay", "good"),
    5: ("terrible", "bad", "okay", "good", "great"),
}


@dataclass(frozen=True)
class Guess:
    """A task that the columns may stand for.

    kind     classification, regression (labels that are numbers of no short scale) or generation
    columns  field of the task -> column: text and label, or source and target
    words    label -> word (classification)
    sure     labels were words themselves; else the words are guessed from their order
    """

    kind: str
    columns: Mapping[str, str]
    words: Mapping[str, str]
    sure: bool


def first_rows(data: str) -> list[Row]:
    """The first rows of a file, or of a folder's training file. Raises DataError."""
    path = Path(data)
    source = folder_sources(path)["train"] if path.is_dir() else file_source(path)
    rows = [row for _, row in islice(source(), LOOKED_AT)]
    if not rows:
        raise DataError(f"{data} has no rows.")
    return rows


def guess(rows: Sequence[Row], text: str | None = None, label: str | None = None) -> Guess:
    """A task for these rows; `text` and `label` are columns that are known already.

    The label is the column with the fewest values, if they are few and come again and again; the
    text is the one with the longest. Without a label there are two texts, one written from the
    other. Raises DataError if there are not two columns.
    """
    names = list(rows[0])
    for name in (text, label):
        if name is not None and name not in names:
            raise DataError(f"There is no column {name!r}; there are {', '.join(names)}.")
    if len(names) < 2:
        raise DataError(
            f"There is one column, {names[0]}; expected one with texts and one with labels, or "
            "with the texts to be written."
        )
    counts = {name: len({label_key(row.get(name)) for row in rows}) for name in names}
    lengths = {name: sum(len(str(row.get(name))) for row in rows) for name in names}
    few = [n for n in names if 1 < counts[n] <= MOST_LABELS and 2 * counts[n] <= len(rows)]
    label = label or min((n for n in few if n != text), key=lambda n: counts[n], default=None)
    rest = [name for name in names if name != label]
    text = text or max(rest, key=lambda name: lengths[name])
    if label is not None and counts[label] <= MOST_LABELS:
        labels = sorted({label_key(row.get(label)) for row in rows}, key=_order)
        words, sure = words_for(labels)
        kind = "classification" if words else "regression"
        return Guess(kind, {"text": text, "label": label}, words, sure)
    other = label or next(name for name in names if name != text)
    source, target = sorted((text, other), key=names.index) if label is None else (text, other)
    return Guess("generation", {"source": source, "target": target}, {}, True)


def words_for(labels: Sequence[str]) -> tuple[dict[str, str], bool]:
    """A word for each label: itself, or for numbers one by their order; whether that is sure.

    None for numbers that are too many for a scale.
    """
    if not all(_number(label) is not None for label in labels):
        return {label: label.replace("_", " ") for label in labels}, True
    return dict(zip(labels, SCALES.get(len(labels), ()), strict=False)), False


def _order(label: str) -> tuple[float, str]:
    number = _number(label)
    return (0.0 if number is None else number), label


def _number(label: str) -> float | None:
    try:
        return float(label)
    except ValueError:
        return None
