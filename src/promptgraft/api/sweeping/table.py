"""What came of a sweep: means over seeds."""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from scipy.stats import t

from promptgraft import files
from promptgraft.api.sweeping.grid import Job, shown

LEVEL = 0.95


@dataclass(frozen=True)
class Mean:
    """A mean over seeds and its 95 % interval by Student's t; None with a single seed."""

    value: float
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class Row:
    """The jobs that differ in their seeds alone.

    point   what the grid chose for them
    seeds   how many of them are done
    scores  by metric; "validation loss" and the like is what their best steps were chosen by
    """

    point: Mapping[str, Any]
    seeds: int
    scores: Mapping[str, Mean]


def rows_of(jobs: Sequence[Job]) -> list[Row]:
    """The results of jobs, in the order of the grid; those that are not done are not in it."""
    alike: dict[str, tuple[dict[str, Any], list[dict[str, float]]]] = {}
    for job in jobs:
        point = {key: value for key, value in job.point.items() if key != "seed"}
        _, found = alike.setdefault(repr(point), (point, []))
        if job.done:
            found.append(scores_of(job.folder))
    return [Row(point, len(found), _means(found)) for point, found in alike.values()]


def scores_of(folder: Path) -> dict[str, float]:
    """A run's scores by metric, and of several tasks by task and metric."""
    results = json.loads((folder / "results.json").read_text())
    measure, best = results["validation"], results["outcome"]["best_score"]
    scores = {}
    if best is not None:
        scores[f"validation {measure}"] = -best if measure == "loss" else best
    for task, own in results.get("tasks", {"": results}).items():
        tested = own.get("test", {"scores": {}})["scores"]
        scores |= {f"{task} {name}".strip(): value for name, value in tested.items()}
    return scores


def save(rows: Sequence[Row], path: Path) -> None:
    """Write them as CSV, an interval's ends in columns of their own."""
    keys, metrics = columns(rows)
    heads = [part for name in metrics for part in (name, f"{name} low", f"{name} high")]
    with files.whole_file(path) as temporary, temporary.open("w", newline="") as stream:
        lines = csv.writer(stream)
        lines.writerow([*keys, "seeds", *heads])
        for row in rows:
            cells: list[object] = [shown(row.point[k]) if k in row.point else "" for k in keys]
            cells.append(row.seeds)
            for name in metrics:
                mean = row.scores.get(name)
                cells += ["" if mean is None else mean.value]
                cells += ["", ""] if mean is None or mean.interval is None else mean.interval
            lines.writerow(cells)


def columns(rows: Sequence[Row]) -> tuple[list[str], list[str]]:
    """The settings and the metrics that any row has, in their order."""
    keys = dict.fromkeys(key for row in rows for key in row.point)
    return list(keys), list(dict.fromkeys(name for row in rows for name in row.scores))


def _means(found: Sequence[Mapping[str, float]]) -> dict[str, Mean]:
    names = dict.fromkeys(name for scores in found for name in scores)
    return {name: _mean([scores[name] for scores in found if name in scores]) for name in names}


def _mean(values: Sequence[float]) -> Mean:
    mean, count = fmean(values), len(values)
    if count == 1:
        return Mean(mean, None)
    half = float(t.ppf((1 + LEVEL) / 2, count - 1)) * stdev(values) / count**0.5
    return Mean(mean, (mean - half, mean + half))
