"""The folder of a run: its settings, results and curves."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from promptgraft import files
from promptgraft.analysis import curves, pictures
from promptgraft.api.config import TuneConfig
from promptgraft.api.job import Job, validated_by
from promptgraft.tasks import Row, Task
from promptgraft.training import Evaluation, Outcome, processes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SAMPLES = 20  # answers that results.json keeps


def write_results(folder: Path, summary: dict[str, Any]) -> None:
    """results.json and curves.png; the run is over, so its checkpoint goes."""
    lines = curves.read(folder / "metrics.jsonl")
    write_outcome(folder, summary, curves.draw(lines, summary["validation"]))
    drop_checkpoint(folder)


def write_outcome(folder: Path, summary: dict[str, Any], figure: Figure) -> None:
    """results.json, and the figure as curves.png."""
    with files.whole_file(folder / "results.json") as temporary:
        temporary.write_text(json.dumps(summary, indent=2))
    pictures.save(figure, folder / "curves.png")


def summary_of(
    job: Job[Any],
    outcome: Outcome,
    evaluation: Evaluation | None,
    rows: Sequence[Row],
    shares: Sequence[Mapping[str, float]] = (),
) -> dict[str, Any]:
    """What results.json holds.

    rows    those that were evaluated
    shares  what the prompts of the first rows are mixed from, where each row has its own
    """
    cut = [row.cut for row in job.encoded if row.cut]
    summary: dict[str, Any] = {
        "trainable_parameters": job.module.trainable(),
        "validation": validated_by(job.task),
        "outcome": asdict(outcome),
        "rows_cut": len(cut),
        "tokens_cut": sum(cut),
        "notes": list(job.task.notes),
    }
    if "test" not in job.task.splits:
        summary["notes"].append(f"{job.task.name} has no labelled test rows: it was not scored.")
    if evaluation is not None:
        summary["test"] = {
            "scores": evaluation.scores,
            "intervals": evaluation.intervals,
            "groups": evaluation.groups,
            "lacking": evaluation.lacking,
            "samples": [
                {
                    "inputs": {name: row[name] for name in job.task.inputs},
                    "prediction": prediction,
                    "references": references,
                }
                for row, prediction, references in list(
                    zip(rows, evaluation.predictions, evaluation.references, strict=True)
                )[:SAMPLES]
            ],
        }
        for sample, own in zip(summary["test"]["samples"], shares, strict=False):
            sample["borrowed"] = own
    return summary


def rows_to_score(task: Task, config: TuneConfig) -> list[Row]:
    """The test rows, or as many of them as the settings say; none without a test split."""
    if "test" not in task.splits:
        return []
    chosen = task if config.test_rows is None else task.subset("test", config.test_rows, 0)
    return chosen.rows("test")


def begin(folder: Path, config: TuneConfig, resume: bool) -> None:
    """Make the folder and write its settings; a checkpoint of a run with others goes."""
    if not processes.first():
        return
    folder.mkdir(parents=True, exist_ok=True)
    if not resume:
        drop_checkpoint(folder)
    text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
    with files.whole_file(folder / "config.yaml") as temporary:
        temporary.write_text(text)


def drop_checkpoint(folder: Path) -> None:
    """Delete the checkpoint, if there is one."""
    if (folder / "checkpoint").is_dir():
        files.remove_folder(folder / "checkpoint")
