"""`method=auto`: borrow, from a pool or the task's wording, only where that helps on rows left out
of training.

Without either, for tasks whose answer is written: the prefix that does best with few rows.

Some ways to borrow and the private prompt, which borrows nothing, are tuned on parts of the
training rows and judged by the rows left out: by errors where answers are chosen, else by the loss.
(Of few rows the loss is no judge of answers: it prefers prompts that leave all open.) Every row is
left out once. Validation and test rows are not looked at. One that borrows is chosen if it is
better by more than its standard error; else the private prompt is, so that a pool that does harm is
left alone.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import torch
from pydantic import Field, field_validator

from promptgraft import files
from promptgraft.api.borrowing import sources
from promptgraft.api.config import TuneConfig
from promptgraft.api.folder import begin
from promptgraft.api.job import layout_for, prepare
from promptgraft.errors import ConfigError, DataError, StoppedError, did_you_mean
from promptgraft.library import Library
from promptgraft.models import FrozenModel
from promptgraft.tasks import Row, Task
from promptgraft.tasks.sampling import content, ranked
from promptgraft.tasks.task import Split
from promptgraft.training import Objective, Report, encode, predict, read, train
from promptgraft.training.described import Described
from promptgraft.training.objective import labels_in

PRIVATE = "private"
CANDIDATES: Mapping[str, Mapping[str, Any]] = {  # ways to borrow: settings of a run
    "best-source": {"method": "spot", "transfer": {"variant": "fitting"}},
    "similar-source": {"method": "spot", "transfer": {"variant": "targeted"}},
    "mean": {"method": "spot", "transfer": {"variant": "generic"}},
    "mixture": {"method": "crosspt", "transfer": {"configuration": "SILP", "encoder": "none"}},
    "fixed-mixture": {"method": "crosspt", "transfer": {"configuration": "SIP", "encoder": "none"}},
    "one-for-each-input": {"method": "attempt", "transfer": {}},
    "wording": {"method": "soft-prompt", "init": "wording", "lr": 0.003, "pool": []},
}
KEPT = "choosing.json"  # losses measured so far, while a choice is under way
WRITING = {"method": "prefix", "module": "mlp"}  # by scripts/better_prefixes.py
MOST = 100  # rows of a part that are judged, at most


class AutoSettings(Described):
    """Settings of method=auto, in `TuneConfig.transfer`."""

    candidates: list[str] = Field(default=["best-source", "wording"], min_length=1)
    """Ways to borrow, of `CANDIDATES`. The default ones are plain prompts with other starts: they
    are close to the private one, so that few rows tell which is better."""
    folds: int = Field(default=3, ge=2)
    """Parts of the training rows; each is left out once."""
    margin: float = Field(default=1.0, ge=0)
    """Standard errors of the mean difference by which borrowing must be better; at 0 it is enough
    to be better at all."""

    @field_validator("candidates", mode="before")
    @classmethod
    def _known(cls, names: object) -> object:
        listed = names.split(",") if isinstance(names, str) else names
        for name in listed if isinstance(listed, list) else []:
            if name not in CANDIDATES:
                near = did_you_mean(str(name), CANDIDATES)
                raise ValueError(f"there is no {name!r}; there are {', '.join(CANDIDATES)}.{near}")
        return listed


def candidates(config: TuneConfig, task: Task) -> list[str]:
    """The ways to borrow that there is something for: a pool, wordings."""
    settings: AutoSettings = read(AutoSettings, None, config.transfer)
    worded = bool(task.manual) and config.template is None
    return [n for n in settings.candidates if (worded if n == "wording" else config.pool)]


def tunings(config: TuneConfig, task: Task) -> int:
    """How many short tunings a choice takes."""
    settings: AutoSettings = read(AutoSettings, None, config.transfer)
    return settings.folds * (1 + len(candidates(config, task)))


def under_way(folder: Path) -> bool:
    """Whether a choice was begun in a run's folder and has not ended; else its result is in the
    settings there."""
    return (folder / KEPT).exists()


def without_choice(config: TuneConfig, task: Task) -> TuneConfig:
    """The settings with a method in the place of auto where nothing has to be chosen: for texts,
    without a pool.

    Raises ConfigError where answers are chosen and there is nothing to borrow.
    """
    if task.kind == "generation" and not config.pool:
        because = "of the prefixes that were compared it does best with few rows"
        choice = {"chosen": ":".join(WRITING.values()), "because": because}
        return config.model_copy(update={**WRITING, "choice": choice})
    if not candidates(config, task):
        raise ConfigError(
            "auto chooses whether to borrow, and there is nothing to borrow from: name source "
            "prompts of the library, for instance --pool '*@mini/t5-s', or a wording of the task, "
            "data.manual='{text} It was {mask} .'"
        )
    return config


def choose(
    config: TuneConfig,
    model: FrozenModel,
    task: Task,
    library: Library | None,
    resume: bool = False,
    report: Callable[[Report], None] | None = None,
) -> TuneConfig:
    """The settings with a method in the place of auto.

    `TuneConfig.choice` then says what was chosen and why. Every tuning takes as many steps as the
    run itself. What was measured is kept in the run's folder; `resume` goes on from it.

    Raises DataError for fewer different rows than parts, StoppedError after Ctrl-C.
    """
    settings: AutoSettings = read(AutoSettings, None, config.transfer)
    pool = sources(config, model, (task.name,), library) if config.pool else {}
    parts = folds(task, settings.folds, config.seed)
    layout = layout_for(config, model, pool)
    plain = "soft-prompt" if layout.kind == "soft-prompt" else "prefix"
    private = {"method": plain, "transfer": {}, "pool": [], "length": layout.length}
    ways = {PRIVATE: private} | {
        name: {"transfer": {}, "pool": list(pool), **CANDIDATES[name]}
        for name in candidates(config, task)
    }
    if "wording" in ways:
        ways["wording"]["objective"] = _objective(model, task)
    folder = config.folder()
    begin(folder, config, resume=False)
    kept = folder / KEPT
    losses: dict[str, list[list[float]]] = {}
    if resume and kept.exists():
        losses = json.loads(kept.read_text())
    _write(kept, losses)
    done, total = sum(map(len, losses.values())), tunings(config, task)
    for name, way in ways.items():
        own = config.model_copy(update={**way, "few_shot": None})
        for number in range(len(losses.setdefault(name, [])), len(parts)):
            left_out = parts[number]
            rows = [row for part in parts if part is not left_out for row in part]
            try:
                found = _losses(own, model, task, rows, left_out, library,
                                shifted(report, done, total + 1))  # fmt: skip
            except StoppedError:
                raise StoppedError(
                    f"Stopped while a method was being chosen, {done} of {total} tunings "
                    f"done. Go on with: promptgraft tune --resume {folder}"
                ) from None
            losses[name].append(found)
            done += 1
            _write(kept, losses)
    flat = {name: [loss for part in losses[name] for loss in part] for name in ways}
    choice = decide(flat, settings.margin, "errors" if task.verbalizer else "nats")
    choice |= {"folds": settings.folds, "pool": list(pool)}
    decided = {**ways[choice["chosen"]], "choice": choice, "out": folder}
    kept.unlink()
    return config.model_copy(update=decided)


def decide(losses: Mapping[str, Sequence[float]], margin: float, unit: str) -> dict[str, Any]:
    """What to choose and why: `chosen`, `because`, and the numbers it was decided by.

    losses  of every way, PRIVATE among them, for the same rows
    margin  standard errors by which the mean difference must be above zero
    unit    of the losses: errors, 0 or 1 for each row, or nats per label
    """
    private = torch.tensor(losses[PRIVATE])
    judged: dict[str, dict[str, float]] = {}
    for name in losses.keys() - {PRIVATE}:
        gain = private - torch.tensor(losses[name])
        error = gain.std().item() / math.sqrt(len(gain)) if len(gain) > 1 else math.inf
        judged[name] = {"gain": gain.mean().item(), "standard_error": error}
    better = [n for n, own in judged.items() if own["gain"] > margin * own["standard_error"]]
    best = max(judged, key=lambda name: judged[name]["gain"])
    chosen = max(better, key=lambda name: judged[name]["gain"]) if better else PRIVATE
    name = chosen if better else best
    size = f"{-judged[name]['gain']:+.3f} ± {judged[name]['standard_error']:.3f}"
    because = f"{name} changes the {unit} of a row left out by {size}"
    if not better:
        because += f", which is not {margin:g} x its error below zero: nothing is borrowed"
    return {
        "chosen": chosen,
        "because": because,
        "rows": len(private),
        "unit": unit,
        "loss": {name: sum(own) / len(own) for name, own in losses.items()},
        "judged": judged,
    }


def folds(task: Task, count: int, seed: int) -> list[list[Row]]:
    """The training rows in parts of like size and like labels; equal inputs are in one part.

    Raises DataError if there are fewer different inputs than parts.
    """
    groups: dict[str, list[Row]] = {}
    for row in task.rows("train"):
        groups.setdefault(content(row, task.inputs), []).append(row)
    if len(groups) < count:
        raise DataError(
            f"Task {task.name} has {len(groups)} different training inputs, too few to leave out "
            f"one part of {count}. Name a method in place of auto."
        )
    order = ranked(groups, seed)
    if task.verbalizer is not None:
        order.sort(key=lambda key: task.answer(groups[key][0]))
    return [[row for key in order[start::count] for row in groups[key]] for start in range(count)]


def shifted(
    report: Callable[[Report], None] | None, done: int, runs: int
) -> Callable[[Report], None] | None:
    """Reports of one tuning of several that are alike, as of all of them together."""
    if report is None:
        return None

    def tell(now: Report) -> None:
        to_come = max(now.steps - now.step, 1)
        left = now.seconds_left * (1 + (runs - done - 1) * now.steps / to_come)
        step, steps = done * now.steps + now.step, runs * now.steps
        report(replace(now, step=step, steps=steps, seconds_left=left))

    return tell


def _losses(
    config: TuneConfig,
    model: FrozenModel,
    task: Task,
    rows: list[Row],
    left_out: Sequence[Row],
    library: Library | None,
    report: Callable[[Report], None] | None,
) -> list[float]:
    """Tune on some rows; the loss of each row left out, as `decide` takes it."""
    part = replace(task, splits={"train": Split.of(rows)})
    job = prepare(config, model, part, library)
    with TemporaryDirectory() as folder:
        train(job.module, job.encoded, job.objective, config.training(), Path(folder),
              report=report)  # fmt: skip
    judged = left_out[:MOST]
    with torch.no_grad():
        if task.verbalizer:
            answers = predict(model, task, judged, job.module, job.template)
            pairs = zip(answers, judged, strict=True)
            return [float(answer != task.answer(row)) for answer, row in pairs]
        encoded = encode(model, task, judged, job.module(), job.template)
        loss = Objective(model, task, template=job.template)
        return [loss(job.module, [row]).item() / labels_in([row]) for row in encoded]


def _objective(model: FrozenModel, task: Task) -> Literal["choices", "vocabulary"]:
    """The label words alone, where they can be told apart so."""
    try:
        Objective(model, task, "choices")
    except ConfigError:
        return "vocabulary"
    return "choices"


def _write(path: Path, losses: Mapping[str, object]) -> None:
    with files.whole_file(path) as temporary:
        temporary.write_text(json.dumps(losses))
