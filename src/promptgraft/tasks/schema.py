"""What a row must hold, and the check of it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from promptgraft.errors import DataError, did_you_mean
from promptgraft.tasks.readers import Row, Source

# For each kind of task: the fields that may be its input, and the field to be predicted.
INPUTS = {
    "classification": (("text",), ("text_a", "text_b")),
    "regression": (("text",), ("text_a", "text_b")),
    "generation": (("source",),),
    "cloze": (("sub_label",),),
}
TARGETS = {
    "classification": "label",
    "regression": "label",
    "generation": "target",
    "cloze": "obj_label",
}
FIELDS = (
    "text",
    "text_a",
    "text_b",
    "label",
    "source",
    "target",
    "references",
    "sub_label",
    "obj_label",
)


def kind_problem(kind: str) -> str:
    """What is wrong with the name of a kind, in a sentence; nothing if it is one."""
    if kind in TARGETS:
        return ""
    return f"The kind {kind!r} is not one of {', '.join(TARGETS)}." + did_you_mean(kind, TARGETS)


def label_key(label: object) -> str:
    """A label as text, the same for 1, 1.0, "1" and " 1 "."""
    if isinstance(label, bool):
        return str(label).lower()
    if isinstance(label, float) and label.is_integer():
        return str(int(label))
    return str(label).strip()


@dataclass(frozen=True)
class Schema:
    """The kind of a task's rows and where their fields are.

    inputs   fields that the model reads
    columns  field -> the name of its column in the data, where that differs
    labels   the labels there are (classification); None accepts all
    """

    kind: str
    inputs: tuple[str, ...]
    columns: Mapping[str, str] = field(default_factory=dict)
    labels: tuple[str, ...] | None = None

    @property
    def target(self) -> str:
        return TARGETS[self.kind]

    def rows(self, source: Source) -> list[Row]:
        """All rows of a source, checked, under the names of their fields."""
        return [self.checked(place, row) for place, row in source()]

    def checked(self, place: str, row: Row) -> Row:
        """The row under the names of its fields.

        Raises DataError, beginning with `place`, for a missing field, a value of a wrong type and
        an unknown label.
        """
        row = renamed(row, self.columns)
        if self.kind == "generation" and "references" in row:
            _check_references(place, row["references"])
            row.setdefault(self.target, row["references"][0])
        for name in (*self.inputs, self.target):
            if row.get(name) is None:
                column = self.columns.get(name, name)
                raise DataError(
                    f"{place}: no {column!r}; the row has {', '.join(map(repr, row)) or 'nothing'}."
                )
        for name in self.inputs:
            _check_text(place, name, row[name])
        if self.kind == "classification":
            self._check_label(place, row["label"])
        elif self.kind == "regression":
            _check_number(place, row["label"])
        else:
            _check_text(place, self.target, row[self.target])
            if not row[self.target].strip():
                raise DataError(f"{place}: {self.target!r} is empty.")
        return row

    def _check_label(self, place: str, label: object) -> None:
        if not isinstance(label, (str, int, float)):
            raise DataError(f"{place}: the label is {label!r}, expected a text or a number.")
        key = label_key(label)
        if not key:
            raise DataError(f"{place}: the label is empty.")
        if self.labels is not None and key not in self.labels:
            raise DataError(
                f"{place}: unknown label {label!r}; the labels are {', '.join(self.labels)}."
                + did_you_mean(key, self.labels)
            )


def renamed(row: Row, columns: Mapping[str, str]) -> Row:
    """The row with the named columns under the names of their fields."""
    fields = {column: name for name, column in columns.items() if column in row}
    others = {key: value for key, value in row.items() if key not in fields}
    return others | {name: row[column] for column, name in fields.items()}


def found(names: Iterable[str], kind: str | None = None) -> Schema | None:
    """The schema of rows with these fields: of the kind asked for, else the first that fits."""
    names = set(names)
    for candidate in [kind] if kind else ("classification", "generation", "cloze"):
        target = TARGETS[candidate]
        has_target = target in names or (candidate == "generation" and "references" in names)
        for inputs in INPUTS[candidate]:
            if has_target and names.issuperset(inputs):
                return Schema(candidate, inputs)
    return None


def _check_text(place: str, name: str, value: object) -> None:
    if not isinstance(value, str):
        raise DataError(f"{place}: {name!r} is {value!r}, expected a text.")


def _check_number(place: str, value: object) -> None:
    try:
        number = float(value)  # type: ignore[arg-type]  # what is no number raises
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise DataError(f"{place}: the label is {value!r}, expected a number.")


def _check_references(place: str, value: object) -> None:
    texts = value if isinstance(value, list) else []
    if not texts or not all(isinstance(text, str) for text in texts):
        raise DataError(
            f"{place}: 'references' is {value!r}, expected a list of one or more texts."
        )
    if not all(text.strip() for text in texts):
        raise DataError(f"{place}: one of the {len(texts)} references is empty.")
