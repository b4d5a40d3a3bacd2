"""Use prompts: score them, write with them, move them to another model, read them."""

from collections.abc import Mapping
from typing import Any

from promptgraft import tasks
from promptgraft.analysis import tokens
from promptgraft.api.names import library_name, model_for, resolve, task_for
from promptgraft.errors import PromptgraftError
from promptgraft.library import Library
from promptgraft.models import FrozenModel, Rows
from promptgraft.prompts import Prompt
from promptgraft.tasks import Task
from promptgraft.training import Evaluation
from promptgraft.training import evaluate as evaluate_rows
from promptgraft.transfer import across_models


def evaluate(
    prompt: str | Prompt | None,
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
    own = template or (value.card.template if value is not None else None)
    return evaluate_rows(
        frozen, chosen, chosen.rows(split), value, own or chosen.template(frozen.family), **settings
    )


def generate(
    prompt: str | Prompt,
    sources: Rows,
    *,
    model: str | FrozenModel | None = None,
    library: Library | None = None,
    **settings: Any,
) -> list[str]:
    """Texts that a prompt makes its model write; `settings` as for `FrozenModel.generate`."""
    value = resolve(prompt, library) if isinstance(prompt, str) else prompt
    return model_for(value, model).generate(sources, value, **settings)


def transfer(
    prompt: str | Prompt,
    to: str | FrozenModel,
    *,
    source: str | FrozenModel | None = None,
    template: str | None = None,
    tag: str | None = None,
    library: Library | None = None,
) -> tuple[Prompt, str]:
    """Move a soft prompt to another model without training; keep it in the library.

    source    default: the model that the prompt's card names
    template  default: the source's, or between families the task's own for the target's family

    Returns the new prompt and its name. Raises what `transfer.across_models.transfer` raises.
    """
    store = library or Library()
    value = resolve(prompt, store) if isinstance(prompt, str) else prompt
    origin = model_for(value, source)
    target = to if isinstance(to, FrozenModel) else FrozenModel.load(to)
    if template is None and origin.family != target.family and value.card.task is not None:
        try:
            template = tasks.load(value.card.task).template(target.family)
        except PromptgraftError:
            template = None  # the task is not at hand; the target's plain template serves
    moved = across_models.transfer(value, origin, target, template)
    if data := value.card.hyperparameters.get("data"):  # it is asked of the same columns and words
        settings = {**moved.card.hyperparameters, "data": data}
        moved = moved.with_card(moved.card.model_copy(update={"hyperparameters": settings}))
    return moved, store.add(moved, library_name(moved.card, tag), replace=True)


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
