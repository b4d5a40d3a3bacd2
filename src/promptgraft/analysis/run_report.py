"""Runs as part of a report, read from their folders."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import yaml

from promptgraft.analysis import curves, html
from promptgraft.analysis.borrowing import Borrowing, drawn
from promptgraft.analysis.library_report import without_model
from promptgraft.analysis.page import Comparison, Score
from promptgraft.analysis.report import Answer, Mixture, Picture, RunPart
from promptgraft.errors import BadFileError

CONFIG, RESULTS, METRICS = "config.yaml", "results.json", "metrics.jsonl"
PLAIN = ("nist", "cider")  # metrics that are not in per cent, and that papers print with decimals
ANSWERS = 12
SHOWN = 4  # prompts that an answer's own is mixed from

Part = TypeVar("Part", bound=tuple[Any, ...])


def is_run(folder: Path) -> bool:
    return (folder / CONFIG).is_file()


def read_run(folder: Path) -> RunPart:
    """A run's folder, whether the run has ended or not. Raises BadFileError for damaged files."""
    settings = _read(folder / CONFIG)
    results = _read(folder / RESULTS) if (folder / RESULTS).is_file() else {}
    outcome = results.get("outcome", {})
    facts = [
        ("Task", settings.get("task")),
        ("Model", settings.get("model")),
        ("Method", settings.get("method")),
        ("Trained", f"{results['trainable_parameters']:,} numbers" if results else None),
        ("Steps", _steps(outcome) if outcome else "not at its end"),
        ("Rows cut", results.get("rows_cut") or None),
    ]
    kept = results.get("borrowed") or {}
    borrowed = Borrowing.from_numbers(kept) if "weights" in kept else None
    each = results.get("tasks") or {str(settings.get("task")): results}
    return RunPart(
        name=folder.name,
        facts=[(name, str(value)) for name, value in facts if value is not None],
        template=settings.get("template") or "",
        settings=[(name, str(value)) for name, value in settings.items() if value is not None],
        svg=_curves(folder / METRICS, results.get("validation")),
        comparisons=[
            comparison
            for task, own in each.items()
            if "test" in own
            for comparison in _comparisons(task, own["test"])
        ],
        mixtures=_mixtures(borrowed) if borrowed else [],
        mixed=_mixed(borrowed) if borrowed else None,
        answers=[
            Answer(
                [(name, str(value)) for name, value in sample.get("inputs", {}).items()],
                sample["prediction"],
                sample["references"],
                _heaviest_first(sample.get("borrowed", {}).items())[:SHOWN],
            )
            for own in each.values()
            for sample in own.get("test", {}).get("samples", [])[: ANSWERS // len(each) or 1]
        ],
        notes=[str(note) for own in each.values() for note in own.get("notes", [])],
    )


def _read(file: Path) -> dict[str, Any]:
    try:
        text = file.read_text("utf-8")
        found = yaml.safe_load(text) if file.suffix == ".yaml" else json.loads(text)
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        raise BadFileError(f"{file}: damaged ({' '.join(str(error).split())}).") from error
    if not isinstance(found, dict):
        raise BadFileError(f"{file}: {type(found).__name__}; expected names and values.")
    return found


def _steps(outcome: Mapping[str, Any]) -> str:
    minutes, seconds = divmod(round(outcome["seconds"]), 60)
    return f"{outcome['steps']} in {minutes}:{seconds:02d}, best at {outcome['best_step']}"


def _curves(file: Path, score: str | None) -> str | None:
    lines = curves.read(file) if file.is_file() else []
    if not lines:
        return None
    if score is None:  # the run has not ended; it names what it measures as it goes
        score = next((line["measure"] for line in lines if "measure" in line), "score")
    with html.colours_of_the_page():
        return html.inline(curves.draw(lines, score, html.TEXT_COLOUR))


def _comparisons(task: str, test: Mapping[str, Any]) -> list[Comparison]:
    """The scores of all test rows, and those of the groups that are scored apart."""
    intervals = test.get("intervals", {})
    rows = [_score(name, "", value, intervals.get(name)) for name, value in test["scores"].items()]
    rows += [
        _score(name, group, value, None)
        for group, values in test.get("groups", {}).items()
        for name, value in values.items()
    ]
    return [Comparison("Score", None, rows, what=task)] if rows else []


def _score(name: str, group: str, value: float, interval: tuple[float, float] | None) -> Score:
    low, high = interval or (None, None)
    return Score(name, group, value, low, high, ours=True, decimals=2 if name in PLAIN else 1)


def _mixtures(found: Borrowing) -> list[Mixture]:
    relied = found.reliance().tolist()
    weights, cosines = found.weights.tolist(), found.cosines.tolist()
    return [
        Mixture(
            task,
            _heaviest_first(zip(found.columns, weights[number], cosines[number], strict=True)),
            relied[number] if found.sources else None,
        )
        for number, task in enumerate(found.tasks)
    ]


def _heaviest_first(parts: Iterable[Part]) -> list[Part]:
    """By weight, which comes after the name."""
    return sorted(parts, key=lambda part: -part[1])


def _mixed(found: Borrowing) -> Picture:
    tasks, columns = ([*map(without_model, names)] for names in (found.tasks, found.columns))
    shown = replace(found, tasks=tasks, columns=columns)
    with html.colours_of_the_page():
        figure = drawn({"": shown}, between=len(found.tasks) > 1)
        return Picture("", html.inline(figure), float(figure.get_figwidth()))
