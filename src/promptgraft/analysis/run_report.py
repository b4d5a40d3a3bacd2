"""Runs as part of a report, read from their folders."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from promptgraft.analysis import curves, html
from promptgraft.analysis.page import Comparison, Score
from promptgraft.analysis.report import Answer, RunPart
from promptgraft.errors import BadFileError

CONFIG, RESULTS, METRICS = "config.yaml", "results.json", "metrics.jsonl"
PLAIN = ("nist", "cider")  # metrics that are not in per cent, and that papers print with decimals
ANSWERS = 12


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
    each = results.get("tasks") or {str(settings.get("task")): results}
    return RunPart(
        name=folder.name,
        facts=[(name, str(value)) for name, value in facts if value is not None],
        template=settings.get("template") or "",
        settings=[(name, str(value)) for name, value in settings.items() if value is not None],
        svg=_curves(folder / METRICS, str(results.get("validation", "score"))),
        comparisons=[
            comparison
            for task, own in each.items()
            if "test" in own
            for comparison in _comparisons(task, own["test"])
        ],
        borrowed=[(task, list(parts.items())) for task, parts in _shares(results).items()],
        answers=[
            Answer(
                [(name, str(value)) for name, value in sample.get("inputs", {}).items()],
                sample["prediction"],
                sample["references"],
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


def _curves(file: Path, score: str) -> str | None:
    lines = curves.read(file) if file.is_file() else []
    if not lines:
        return None
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


def _shares(results: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    found = results.get("borrowed") or {}
    return {
        task: {prompt: share for prompt, share in parts.items() if math.isfinite(share)}
        for task, parts in found.items()
        if isinstance(parts, dict)
    }
