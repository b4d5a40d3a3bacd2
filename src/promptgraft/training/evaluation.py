"""How good a prompt is: a model's answers on a split, scored by the task's metrics."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from promptgraft import metrics
from promptgraft.models import Emitter, Encoded, FrozenModel, Prompts
from promptgraft.tasks import Row, Task
from promptgraft.training.objective import Objective, labels_in


@dataclass(frozen=True)
class Scores:
    """What answers are worth.

    scores     metric -> value, in per cent but for those with a scale of their own
    intervals  metric -> 95 % bootstrap interval over rows, where the metric has one
    groups     group -> metric -> value, for tasks whose groups are scored apart (`Task.groups`)
    lacking    metric -> what it needs and is not here, for those that were left out
    """

    scores: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    groups: dict[str, dict[str, float]]
    lacking: dict[str, str]


@dataclass(frozen=True)
class Evaluation(Scores):
    """Answers and what they are worth."""

    predictions: list[str]
    references: list[list[str]]


def predict(
    model: FrozenModel,
    task: Task,
    rows: Sequence[Row],
    prompt: Prompts,
    template: str | None = None,
    choices: Sequence[str] | None = None,
    batch_size: int = 32,
    **generation: Any,
) -> list[str]:
    """The model's answers: words of the verbalizer or vocabulary, or texts it writes.

    choices  words to choose from in place of the task's own

    Raises ConfigError for unknown settings of `generation`, also where nothing is written.
    """
    model.check_generation(generation)
    if choices is not None or task.verbalizer is not None:
        words = list(choices if choices is not None else (task.verbalizer or {}).values())
        return model.choose(rows, words, prompt, template, batch_size)
    if model.family == "masked":
        return model.fill(rows, prompt, template, task.vocabulary, batch_size)
    return model.generate(rows, prompt, template, batch_size=batch_size, **generation)


def score(
    task: Task,
    rows: Sequence[Row],
    answers: Sequence[str],
    names: Sequence[str],
    besides: Sequence[str] = (),
) -> Scores:
    """Score the answers to rows.

    names    metrics that must be counted
    besides  more of them, left out where one lacks a package or program here
    """
    lacking = {name: lack for name in besides if (lack := metrics.get(name).lack())}
    names = [name for name in dict.fromkeys((*names, *besides)) if name not in lacking]
    references = [task.references(row) for row in rows]
    intervals = {
        name: metrics.interval(name, answers, references)
        for name in names
        if metrics.get(name).bootstrap
    }
    groups = {}
    if task.groups:
        groups = metrics.score_groups(names, answers, references, task.groups_of(rows))
    return Scores(metrics.score(names, answers, references), intervals, groups, lacking)


def evaluate(
    model: FrozenModel,
    task: Task,
    rows: Sequence[Row],
    prompt: Prompts,
    template: str | None = None,
    whole: bool = True,
    **settings: Any,
) -> Evaluation:
    """Score a prompt on rows; `settings` go to `predict`.

    whole  with intervals, groups and what the field reports (`Task.report`), but for metrics that
           load a model; else the values of the task's metrics alone
    """
    answers = predict(model, task, rows, prompt, template, **settings)
    references = [task.references(row) for row in rows]
    if whole:
        reported = [name for name in task.report if not metrics.get(name).learned]
        found = score(task, rows, answers, task.metrics, reported)
    else:
        found = Scores(metrics.score(task.metrics, answers, references), {}, {}, {})
    return Evaluation(**vars(found), predictions=answers, references=references)


@torch.no_grad()
def mean_loss(
    objective: Objective, module: Emitter, encoded: Sequence[Encoded], batch_size: int
) -> float:
    """Cross-entropy per label over rows, in nats."""
    order = sorted(encoded, key=len)
    parts = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    return sum(objective(module, part).item() for part in parts) / labels_in(order)
