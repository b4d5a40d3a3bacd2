"""Use prompts: score them, write with them, read them."""

from collections.abc import Mapping
from typing import Any

from promptgraft.analysis import tokens
from promptgraft.api.names import model_for, resolve, runnable, task_for
from promptgraft.library import Library
from promptgraft.models import FrozenModel, Rows
from promptgraft.prompts import Prompt
from promptgraft.tasks import Task
from promptgraft.training import Evaluation
from promptgraft.training import evaluate as evaluate_rows
from promptgraft.transfer.across_tasks import Runnable


def evaluate(
    prompt: str | Runnable | None,
    task: str | Task | None = None,
    *,
    model: str | FrozenModel | None = None,
    template: str | None = None,
    split: str = "test",
    rows: int | None = None,
    data: Mapping[str, Any] | None = None,
    library: Library | None = None,
    **settings: Any,
) -> Evaluation:
    """Score a prompt (or, with None, the bare model) on a split of a task.

    task   default: the one that the prompt was made for, if it is built in
    model  default: the one that the prompt was made for
    data   settings of a task given by name or file, as `tasks.load` takes them; for a file the
           columns and label words that the prompt was tuned with, if none are given
    """
    value = resolve(prompt, library) if isinstance(prompt, str) else prompt
    chosen = task_for(value, task, data or {})
    frozen = model_for(value, model)
    if rows is not None:
        chosen = chosen.subset(split, rows, seed=0)
    if template is None and (value is None or value.card.template is None):
        template = chosen.template(frozen.family)
    run = runnable(prompt, value, frozen, library)
    return evaluate_rows(frozen, chosen, chosen.rows(split), run, template, **settings)


def generate(
    prompt: str | Runnable,
    sources: Rows,
    *,
    model: str | FrozenModel | None = None,
    library: Library | None = None,
    **settings: Any,
) -> list[str]:
    """Texts that a prompt makes its model write; `settings` as for `FrozenModel.generate`."""
    value = resolve(prompt, library) if isinstance(prompt, str) else prompt
    frozen = model_for(value, model)
    return frozen.generate(sources, runnable(prompt, value, frozen, library), **settings)


def nearest_tokens(
    prompt: str | Prompt,
    count: int = 5,
    *,
    model: FrozenModel | None = None,
    library: Library | None = None,
) -> list[list[tuple[str, float]]]:
    """For each virtual token of a soft prompt the nearest real tokens, with their cosines."""
    value = resolve(prompt, library) if isinstance(prompt, str) else prompt
    return tokens.nearest_tokens(model_for(value, model), value, count)
