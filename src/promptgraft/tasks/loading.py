"""From a name or a path to a task."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from promptgraft.errors import ConfigError, DataError, did_you_mean
from promptgraft.tasks import builtin, published
from promptgraft.tasks.defaults import METRICS, templates
from promptgraft.tasks.files import file_source, folder_sources
from promptgraft.tasks.hub import hub_sources
from promptgraft.tasks.published import Form
from promptgraft.tasks.readers import Row, Source, format_of, stem
from promptgraft.tasks.schema import FIELDS, Schema, found, label_key, renamed
from promptgraft.tasks.settings import checked, read_yaml
from promptgraft.tasks.task import SPLITS, Division, Split, Task

YAML = (".yaml", ".yml")


def load(spec: str | Path, **settings: Any) -> Task:
    """The task that `spec` names.

    spec  a built-in name (`names()` lists them), a file (.jsonl, .csv, .tsv, with or without .gz,
          or .parquet), a folder with files named train, validation and test, a YAML task file, or
          hub:<data set>[:<configuration>]; ./sst2 is a folder, sst2 the built-in task

    Settings, all optional:
    train, validation, test        a file for a split
    text, text_a, text_b, label,   the column that holds a field, where it has another name
    source, target, references
    kind                           "classification", "regression", "generation", "cloze"; found
                                   from the columns if not given (regression never is)
    verbalizer                     label -> word; the labels themselves if they are words
    levels                         for labels that are scores: word -> the highest score that it
                                   stands for, rising, such as {"low": 2, "high": 5}; a
                                   classification then
    templates, manual              family -> template, family -> worded templates
    format                         the published set whose official files these are ("webnlg"), or
                                   whose columns the hub's data set has; templates and metrics are
                                   then that set's
    only, without                  split -> field -> values: rows that are kept, or left out, such
                                   as only={"test": {"category": "sport"}}
    metrics                        names, the main one first
    report                         metrics of finished outputs; default: metrics
    groups                         a field whose values are scored apart as well
    vocabulary                     the words that may be answered (cloze)
    name                           of the task

    A YAML file holds the same settings and `data`, its paths relative to the file. Data without a
    validation split is divided by a hash of the inputs, which a note of the task says.

    Raises ConfigError for settings that are wrong, DataError for data that is missing or not as
    the task needs it. Rows are checked when their split is first read.
    """
    if "data" in settings:
        raise ConfigError(f"The data is {spec}; 'data' is a setting of YAML task files only.")
    given = checked(settings, str(spec))
    spec = str(spec)
    if builtin.known(spec):
        declared = builtin.settings(spec)
    elif spec.endswith(YAML):
        if not Path(spec).is_file():
            raise DataError(f"There is no file {spec}.")
        declared = read_yaml(Path(spec))
    else:
        declared = {"data": spec}
    form = given.get("format") or declared.get("format")
    usual = builtin.declared(form) if form else {}
    return _task(_merged({**usual, **declared}, given))


def _merged(declared: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """What was given comes before what was declared; templates family by family."""
    merged = {**declared, **given}
    for name in ("templates", "manual"):
        if name in merged:
            merged[name] = {**declared.get(name, {}), **given.get(name, {})}
    return merged


def _task(settings: Mapping[str, Any]) -> Task:
    sources = _sources(settings)
    levels = settings.get("levels")
    schema = _schema(sources, {**settings, "kind": "regression"} if levels else settings)
    verbalizer = settings.get("verbalizer")
    if schema.kind == "classification":
        if verbalizer is None:
            verbalizer = _label_words(sources, schema)
        schema = Schema(schema.kind, schema.inputs, schema.columns, tuple(verbalizer))
    splits = {name: Split(partial(_rows, schema, source)) for name, source in sources.items()}
    if levels:
        splits = {name: Split(partial(_levelled, levels, rows)) for name, rows in splits.items()}
        if verbalizer is not None:
            raise ConfigError("levels name the label words already: leave the verbalizer out.")
        verbalizer = {word: word for word in levels}
        schema = replace(schema, kind="classification")
    for kept in (True, False):
        for name, fields in settings.get("only" if kept else "without", {}).items():
            if name not in splits:
                raise ConfigError(f"Rows of {name} are chosen, but there is no such split.")
            splits[name] = Split(partial(_chosen, name, splits[name], fields, kept))
    splits, notes = _with_validation(splits, schema)
    return Task(
        name=settings.get("name") or name_of(settings["data"]),
        kind=schema.kind,
        inputs=schema.inputs,
        target=schema.target,
        splits=splits,
        templates={**templates(schema), **settings.get("templates", {})},
        manual=settings.get("manual", {}),
        verbalizer=verbalizer,
        vocabulary=settings.get("vocabulary"),
        metrics=settings.get("metrics", METRICS[schema.kind]),
        report=settings.get("report", ()),
        groups=settings.get("groups"),
        notes=notes,
    )


def name_of(data: str) -> str:
    """A task's name from its data: what stands in a file name and in task@model. That of a name is
    itself."""
    local = data.removeprefix("hub:").rstrip("/")
    file = format_of(Path(local)) or local.endswith(YAML)
    last = stem(Path(local)) if file else local.rpartition("/")[2]
    return re.sub(r"[^\w.-]+", "-", last or Path(data).resolve().name)


def _sources(settings: Mapping[str, Any]) -> dict[str, Source]:
    """Split -> rows, from the data and from files named for single splits."""
    form = published.get(settings["format"]) if "format" in settings else None
    named = {name: _file(Path(settings[name]), name, form) for name in SPLITS if name in settings}
    data = settings.get("data")
    if data is None:
        return named
    path = Path(data)
    if data.startswith("hub:"):
        name, _, config = data.removeprefix("hub:").partition(":")
        sources = hub_sources(name, config or None)
        if form:
            sources = {split: form.of(rows, data, split) for split, rows in sources.items()}
    elif path.is_dir():
        sources = form.sources(path) if form else folder_sources(path)
    elif path.is_file() or format_of(path):
        if "train" in named:
            raise ConfigError(f"{data} holds the training rows, and train= names others: give one.")
        sources = {"train": _file(path, "train", form)}
    else:
        raise DataError(
            f"There is no task, file or folder {data!r}. Built in: {', '.join(builtin.listed())}."
            + did_you_mean(data, builtin.listed())
            + builtin.where_from(data)
        )
    return {**sources, **named}


def _file(path: Path, split: str, form: Form | None) -> Source:
    return form.source(path, split) if form else file_source(path)


def _rows(schema: Schema, source: Source) -> list[Row]:
    rows = schema.rows(source)
    if not rows:
        raise DataError(f"{_place(source)} has no rows.")
    return rows


def _levelled(levels: Mapping[str, float], split: Split) -> list[Row]:
    """The rows with the word of their score's level in its place."""
    *_, (last, highest) = levels.items()
    rows = []
    for row in split.rows:
        score = float(row["label"])
        if score > highest:
            raise DataError(f"A label is {score:g}; the levels end with {last}, {highest:g}.")
        level = next(word for word, top in levels.items() if score <= top)
        rows.append({**row, "label": level})
    return rows


def _chosen(
    name: str, split: Split, fields: Mapping[str, tuple[str, ...]], kept: bool
) -> list[Row]:
    """The rows whose fields have one of these values, or those where a field has none of them."""
    rows = split.rows
    for field, values in fields.items():
        found = {label_key(row[field]) for row in rows if field in row}
        if unknown := sorted({*values} - found):
            raise DataError(
                f"No row of {name} has {', '.join(unknown)} as {field!r}; there are "
                f"{', '.join(sorted(found)[:20]) or 'none'}." + did_you_mean(unknown[0], found)
            )

    def has(row: Row) -> bool:
        return all(label_key(row.get(field)) in values for field, values in fields.items())

    return [row for row in rows if has(row) is kept]


def _place(source: Source) -> str:
    """The file or data set that a source reads: its first argument."""
    return str(source.args[0]) if isinstance(source, partial) else "The data"


def _schema(sources: Mapping[str, Source], settings: Mapping[str, Any]) -> Schema:
    """The schema that the first row of the first split fits."""
    source = next(iter(sources.values()))
    columns = {name: settings[name] for name in FIELDS if name in settings}
    first = next(iter(islice(source(), 1)), None)
    if first is None:
        raise DataError(f"{_place(source)} has no rows.")
    _, row = first
    # Training rows may have no references where test rows have some.
    missing = [
        column for name, column in columns.items() if column not in row and name != "references"
    ]
    if missing:
        raise DataError(
            f"{_place(source)} has no column {missing[0]!r}; it has {', '.join(row)}."
            + did_you_mean(missing[0], row)
        )
    schema = found(renamed(row, columns), settings.get("kind"))
    if schema is None:
        raise DataError(
            f"{_place(source)} has the columns {', '.join(row)}; expected text (or text_a and "
            "text_b) and label, or source and target. Say which column is which: "
            "data.text=review data.label=stars."
        )
    return Schema(schema.kind, schema.inputs, columns)


def _label_words(sources: Mapping[str, Source], schema: Schema) -> dict[str, str]:
    """Every label as its own word ("not_entailment" as "not entailment").

    Raises DataError if the labels are no words, or too many to be labels.
    """
    source = next(iter(sources.values()))
    rows = _rows(schema, source)
    labels = sorted({label_key(row["label"]) for row in rows})
    if not all(re.fullmatch(r"[^\W\d]([\w '-]|/)*", label) for label in labels):
        some = ", ".join(labels[:8])
        example = ", ".join(f"'{label}': '…'" for label in labels[:3])
        raise DataError(
            f"The labels of {_place(source)} are no words: {some}. Say which word stands for "
            f"each: verbalizer={{{example}}}, or kind='regression' if they are scores."
        )
    if len(labels) > max(20, len(rows) // 4):
        raise DataError(
            f"{_place(source)} has {len(labels)} different labels in {len(rows)} rows. If they are "
            f"texts to be written, say so: source='{schema.inputs[0]}', target='label'."
        )
    return {label: label.replace("_", " ") for label in labels}


def _with_validation(
    splits: dict[str, Split], schema: Schema
) -> tuple[dict[str, Split], tuple[str, ...]]:
    """The splits with a validation split, cut from the training rows if there is none."""
    if "train" not in splits or "validation" in splits:
        return splits, ()
    parts = {"validation": 10} if "test" in splits else {"validation": 10, "test": 10}
    division = Division(splits["train"], schema.inputs, parts)
    cut = {name: Split(partial(division.rows, name)) for name in ("train", *parts)}
    shares = " / ".join(f"{percent} %" for percent in (100 - sum(parts.values()), *parts.values()))
    note = (
        f"No {' and no '.join(parts)} split was given: the training rows were divided by a hash "
        f"of their input into train / {' / '.join(parts)}, {shares}."
    )
    return {**splits, **cut}, (note,)
