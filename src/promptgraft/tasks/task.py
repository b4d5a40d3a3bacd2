"""A task: rows, what is asked of them, and how the answer is judged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Self

from promptgraft import metrics
from promptgraft.errors import ConfigError, DataError, did_you_mean
from promptgraft.tasks.readers import Row
from promptgraft.tasks.sampling import data_hash, divide, sample, sample_per_label
from promptgraft.tasks.schema import kind_problem, label_key

FAMILIES = ("causal", "seq2seq", "masked")
SPLITS = ("train", "validation", "test")


class Split:
    """The rows of one split: read and checked when first asked for, then kept."""

    def __init__(self, read: Callable[[], list[Row]]) -> None:
        self._read = read

    @classmethod
    def of(cls, rows: Sequence[Row]) -> Self:
        """Of rows that are there already."""
        return cls(lambda: list(rows))

    @cached_property
    def rows(self) -> list[Row]:
        return self._read()


class Division:
    """Rows of one split divided into several (see `sampling.divide`)."""

    def __init__(self, whole: Split, inputs: tuple[str, ...], parts: dict[str, int]) -> None:
        self._whole, self._inputs, self._parts = whole, inputs, parts

    @cached_property
    def _divided(self) -> dict[str, list[Row]]:
        return divide(self._whole.rows, self._inputs, self._parts)

    def rows(self, part: str) -> list[Row]:
        return self._divided[part]


@dataclass(frozen=True, eq=False)
class Task:
    """What a prompt is trained for. `tasks.load` makes one from a name or from files.

    name        as it appears in the library and in reports
    kind        "classification", "regression", "generation" or "cloze" (one word of a vocabulary)
    inputs      the fields of a row that the model reads
    target      the field to be predicted: "label", "target" or "obj_label"
    splits      "train", "validation", "test" -> their rows; a split may be missing
    templates   family ("causal", "seq2seq", "masked") -> template with a place for the prompt
    manual      family -> worded templates without a prompt, the baseline
    verbalizer  label -> the word that stands for it (classification)
    vocabulary  the words that may be answered (cloze); None: any
    metrics     names for `metrics.score`; early stopping looks at the first
    report      metrics of finished outputs, those that the field reports; (): `metrics`
    groups      a field of the rows whose values are scored apart as well, such as seen and unseen
    notes       what the user should know about how the data came about

    Raises ConfigError, with every problem found, if these do not fit together.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    target: str
    splits: Mapping[str, Split] = field(repr=False)
    templates: Mapping[str, str]
    metrics: tuple[str, ...]
    report: tuple[str, ...] = ()
    groups: str | None = None
    verbalizer: Mapping[str, str] | None = None
    manual: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)
    vocabulary: tuple[str, ...] | None = field(default=None, repr=False)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        problems = [*self._kind_problems(), *self._template_problems(), *self._metric_problems()]
        if problems:
            raise ConfigError(f"Task {self.name}: " + " ".join(problems))

    def rows(self, split: str) -> list[Row]:
        """The rows of "train", "validation" or "test"; the list is shared, so do not change it.

        Raises DataError if there is no such split, or its rows are not as they should be.
        """
        if split not in SPLITS:
            raise DataError(
                f"There is no split {split!r}; a task has {', '.join(SPLITS)}."
                + did_you_mean(split, SPLITS)
            )
        if split not in self.splits:
            raise DataError(
                f"Task {self.name} has no {split} split; it has {', '.join(self.splits)}. "
                f"Give one with {split}=<file>."
            )
        return self.splits[split].rows

    def template(self, family: str) -> str:
        """The template of a model family. Raises ConfigError if the task has none for it."""
        if family not in self.templates:
            raise ConfigError(
                f"Task {self.name} ({self.kind}) has no template for {family} models; it has some "
                f"for {', '.join(self.templates)}. Give one with templates={{'{family}': ...}}."
            )
        return self.templates[family]

    def answer(self, row: Row) -> str:
        """The text that the model should produce for the row.

        Classification: the verbalizer's word. Regression: the score with one decimal, as T5 writes
        STS-B. Otherwise: the target itself.
        """
        if self.verbalizer is not None:
            return self.verbalizer[label_key(row[self.target])]
        if self.kind == "regression":
            return f"{float(row[self.target]):.1f}"
        return str(row[self.target])

    def answered(self, row: Row, answer: str) -> Row:
        """The row as if this were its answer: `answer` of it is what is given here.

        Raises DataError for a word that stands for no label.
        """
        target: object = answer
        if self.verbalizer is not None:
            labels = {word: label for label, word in self.verbalizer.items()}
            if answer not in labels:
                raise DataError(
                    f"{answer!r} stands for no label of {self.name}; the words are "
                    f"{', '.join(labels)}."
                )
            target = labels[answer]
        kept = {name: value for name, value in row.items() if name != "references"}
        return {**kept, self.target: target}

    def references(self, row: Row) -> list[str]:
        """The texts that a prediction for the row is compared with; one or more."""
        if self.kind == "regression":
            return [str(row[self.target])]
        if self.kind == "generation" and "references" in row:
            return list(row["references"])
        return [self.answer(row)]

    def groups_of(self, rows: Sequence[Row]) -> list[str]:
        """The group of each row: its value of the field that `groups` names, "" if it has none."""
        return [str(row.get(self.groups, "")) for row in rows] if self.groups else [""] * len(rows)

    def data_hash(self) -> str:
        """SHA-256, in hexadecimal, over the training rows in their order."""
        return data_hash(self.rows("train"))

    def few_shot(self, n: int, seed: int) -> Task:
        """The task with few training rows: n of every label, or n in all without labels.

        The same rows for the same (n, seed) everywhere; those of a smaller n are among those of a
        larger one. Raises DataError if a label has fewer than n different rows.
        """
        return self._with_rows("train", partial(self._few, n, seed))

    def subset(self, split: str, n: int, seed: int) -> Task:
        """The task with n different rows of a split, all of them if it has fewer."""
        return self._with_rows(split, partial(self._some, split, n, seed))

    def _few(self, n: int, seed: int) -> list[Row]:
        if self.verbalizer is not None:
            return sample_per_label(self.rows("train"), n, seed, self.verbalizer)
        rows = sample(self.rows("train"), n, seed)
        if len(rows) < n:
            raise DataError(f"Task {self.name} has {len(rows)} different training rows, not {n}.")
        return rows

    def _some(self, split: str, n: int, seed: int) -> list[Row]:
        return sample(self.rows(split), n, seed)

    def _with_rows(self, split: str, read: Callable[[], list[Row]]) -> Task:
        chosen = Split(read)
        _ = chosen.rows  # so that too few rows are an error here, not in the middle of a run
        return replace(self, splits={**self.splits, split: chosen})

    def _kind_problems(self) -> list[str]:
        problems = [problem] if (problem := kind_problem(self.kind)) else []
        if (self.verbalizer is None) == (self.kind == "classification"):
            problems.append(
                "Classification needs a verbalizer."
                if self.verbalizer is None
                else f"A verbalizer is for classification; the kind is {self.kind!r}."
            )
        words = list((self.verbalizer or {}).values())
        problems += [
            f"The verbalizer has the word {word!r} for two labels, which cannot be told apart."
            for word in sorted({word for word in words if words.count(word) > 1})
        ]
        if len(words) == 1:
            problems.append(f"The verbalizer has one label only ({', '.join(words)}).")
        return problems

    def _template_problems(self) -> list[str]:
        problems = [
            f"Templates are for {', '.join(FAMILIES)} models, not {family!r}."
            + did_you_mean(family, FAMILIES)
            for family in {*self.templates, *self.manual} - {*FAMILIES}
        ]
        if not self.templates:
            problems.append("There is no template.")
        return problems

    def _metric_problems(self) -> list[str]:
        problems = [] if self.metrics else ["There is no metric."]
        words = (self.verbalizer or {}).values()
        for name in (*self.metrics, *self.report):
            try:
                metrics.get(name)
            except ConfigError as error:
                problems.append(str(error))
                continue
            stem, _, label = name.partition(":")
            if stem == "f1" and label and label not in words:
                problems.append(
                    f"{name} asks for a word of the verbalizer: {', '.join(words) or 'none'}."
                    + did_you_mean(label, words)
                )
        return problems
