"""Understand prompts: which are alike, and what one of them is mixed from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from promptgraft.api.borrowing import shares_of_rows
from promptgraft.api.names import model_for, resolve, runnable, task_for
from promptgraft.errors import ConfigError, PromptgraftError
from promptgraft.library import Library
from promptgraft.models import FrozenModel
from promptgraft.prompts import Prompt, PromptCard, load
from promptgraft.transfer import across_tasks
from promptgraft.transfer.across_tasks import METHODS, AdaptivePrompt, settings_of


@dataclass(frozen=True)
class Clusters:
    """Source prompts in groups.

    similarity  [S, S], as PTG's graph has it
    groups      the cluster of each
    """

    names: tuple[str, ...]
    similarity: Tensor
    groups: list[int]


def clusters(
    patterns: Sequence[str],
    similarity: str = "normalised",
    count: int | None = None,
    library: Library | None = None,
) -> Clusters:
    """Group prompts as PTG groups its pool: spectral clustering with the min-max cut.

    patterns    names in the library, globs, folders; all prompts must be for one model
    similarity  normalised (PTG's Eq. 1 on vectors of length one), euclidean (Eq. 1 as published,
                which finds little but norms, see docs/concepts/tasks.md), cosine or tokens
    count       of groups; None: by the eigengap
    """
    if similarity not in across_tasks.SIMILARITIES:
        known = ", ".join(across_tasks.SIMILARITIES)
        raise ConfigError(f"There is no similarity {similarity!r}; there are {known}.")
    store = library or Library()
    found: dict[str, Prompt] = {}
    for pattern in patterns:
        if set(pattern) & set("*?["):
            found |= {entry.name: load(entry.path) for entry in store.list(pattern)}
        else:
            found[pattern] = resolve(pattern, store)
    if not found:
        raise PromptgraftError(
            f"No prompt in {store.path} fits {' or '.join(patterns)}. See: promptgraft ls"
        )
    pool = across_tasks.pool_of(found)
    weights = across_tasks.as_weights(similarity, across_tasks.vectors(pool.stack()))
    return Clusters(pool.names, weights, across_tasks.cluster(weights, count))


@dataclass(frozen=True)
class Explanation:
    """What a prompt is mixed from.

    shares  of each source, over all inputs, the largest first
    rows    some rows, where each has a mixture of its own: the row and its shares
    form    of an ensemble, or a method that mixes no prompts: what its prompt is, and what that
            started from
    """

    shares: dict[str, float]
    rows: list[tuple[dict[str, Any], dict[str, float]]]
    form: str | None = None


def explain(
    prompt: str,
    rows: int = 5,
    *,
    task: str | None = None,
    split: str = "test",
    model: str | FrozenModel | None = None,
    library: Library | None = None,
) -> Explanation:
    """What a prompt borrowed, and for a method that looks at each row what some rows get.

    rows  of the task's split (`task` as for `evaluate`), if there are mixtures by row

    Raises PromptgraftError for a prompt that is mixed from no others, and whose method says no more
    of it (`Transfer.form`).
    """
    value = resolve(prompt, library)
    shares = value.card.hyperparameters.get("borrowed")
    form = _form(value.card)
    if form is not None:
        return Explanation({}, [], form)
    if not isinstance(shares, dict):
        raise PromptgraftError(
            f"{value.card.title} is mixed from no other prompts (method {value.card.method}). "
            "What it is near to: promptgraft similar"
        )
    found = {name: float(str(share)) for name, share in shares.items()}
    state = dict(sorted(found.items(), key=lambda item: -item[1]))
    frozen = model_for(value, model)
    run = runnable(prompt, value, frozen, library)
    if not isinstance(run, AdaptivePrompt):
        return Explanation(state, [])
    chosen = task_for(value, task, {}).rows(split)[:rows]
    mixtures = shares_of_rows(run, frozen, chosen)
    return Explanation(state, list(zip(map(dict, chosen), mixtures, strict=False)))  # or none


def _form(card: PromptCard) -> str | None:
    """What the prompt of a method that mixes none is, and the sources that it started from."""
    if card.is_ensemble:
        return f"an {card.form}, the mean of whose chances decides"
    method = METHODS.items.get(card.method or "")
    chosen = card.hyperparameters.get("transfer", {})
    if method is None or not isinstance(chosen, dict):
        return None
    form = method.form(settings_of(method.name, chosen))
    if form is None:
        return None
    names = [one.name for one in card.parents if one.relation == f"{method.name}-source"]
    return f"{form}; it started from {', '.join(names) or 'no other prompts'}"
