"""How good a prompt is: a model's answers on a split, scored by the task's metrics."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from promptgraft import metrics
from promptgraft.models import Emitter, Encoded, FrozenModel, Prompts
from promptgraft.tasks import Row, Task
from promptgraft.training.objective import Objective, labels_in


@dataclass(frozen=True)
class Evaluation:
    """Answers and what they are worth.

    scores     metric -> value in per cent
    intervals  metric -> 95 % bootstrap interval over rows
    groups     group -> metric -> value, for tasks whose groups are scored apart (`Task.groups`)
    """

    scores: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    predictions: list[str]
    references: list[list[str]]
    groups: dict[str, dict[str, float]] = field(default_factory=dict)


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
    """
    if choices is not None or task.verbalizer is not None:
        words = list(choices if choices is not None else (task.verbalizer or {}).values())
        return model.choose(rows, words, prompt, template, batch_size)
    if model.family == "masked":
        return model.fill(rows, prompt, template, task.vocabulary, batch_size)
    return model.generate(rows, prompt, template, batch_size=batch_size, **generation)


def evaluate(
    model: FrozenModel,
    task: Task,
    rows: Sequence[Row],
    prompt: Prompts,
    template: str | None = None,
    intervals: bool = True,
    **settings: Any,
) -> Evaluation:
    """Score a prompt on rows with the task's metrics; `settings` go to `predict`.

    intervals  with intervals and groups, or for the scores alone
    """
    predictions = predict(model, task, rows, prompt, template, **settings)
    references = [task.references(row) for row in rows]
    scores = metrics.score(task.metrics, predictions, references)
    spans = {
        name: metrics.interval(name, predictions, references)
        for name in (task.metrics if intervals else ())
        if metrics.get(name).bootstrap
    }
    groups = {}
    if intervals and task.groups:
        of_row = task.groups_of(rows)
        groups = metrics.score_groups(task.metrics, predictions, references, of_row)
    return Evaluation(scores, spans, predictions, references, groups)


@torch.no_grad()
def mean_loss(
    objective: Objective, module: Emitter, encoded: Sequence[Encoded], batch_size: int
) -> float:
    """Cross-entropy per label over rows, in nats."""
    order = sorted(encoded, key=len)
    parts = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    return sum(objective(module, part).item() for part in parts) / labels_in(order)
