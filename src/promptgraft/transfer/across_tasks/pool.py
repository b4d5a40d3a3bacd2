"""The pool of source prompts: what a library already knows about other tasks."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from promptgraft.errors import ConfigError, WrongModelError
from promptgraft.modules import Kind, Layout
from promptgraft.prompts import Parent, Prompt


@dataclass(frozen=True, eq=False)
class Pool:
    """S source prompts of one model, one kind and one length.

    names   as the library has them
    tasks   what each was tuned for
    tables  [S, P, width] by "input" or attention site, float32 on the CPU
    """

    names: tuple[str, ...] = ()
    tasks: tuple[str | None, ...] = ()
    tables: Mapping[str, Tensor] | None = None

    def __len__(self) -> int:
        """S."""
        return len(self.names)

    def stack(self) -> dict[str, Tensor]:
        """Copies of the tables."""
        return {name: table.clone() for name, table in (self.tables or {}).items()}

    def of_task(self, task: str) -> int:
        """The source that was tuned for a task. Raises ConfigError unless there is one."""
        found = [number for number, own in enumerate(self.tasks) if own == task]
        if len(found) != 1:
            known = ", ".join(sorted({own for own in self.tasks if own})) or "none that are named"
            raise ConfigError(
                f"The pool has {len(found)} source prompts of the task {task!r}, one is needed; "
                f"its tasks are {known}."
            )
        return found[0]


def pool_of(prompts: Mapping[str, Prompt], layout: Layout | None = None) -> Pool:
    """A pool from prompts by name.

    layout  what they must fit; default the first one's

    Raises WrongModelError for prompts of different models, ConfigError for different kinds, lengths
    or attention sites.
    """
    if not prompts:
        return Pool()
    (first_name, first), *others = prompts.items()
    for name, prompt in others:
        if not prompt.card.base.may_be(first.card.base):
            raise WrongModelError(
                f"The pool mixes prompts of different models: {first_name} is for "
                f"{first.card.base.name}, {name} for {prompt.card.base.name}. "
                f"Leave one out, or move it: promptgraft transfer {name} "
                f"--to {first.card.base.name}"
            )
        if _form(prompt) != _form(first):
            raise ConfigError(
                f"The source prompts of a pool must be alike: {first_name} is a {_form(first)}, "
                f"{name} a {_form(prompt)}. Name those that are: --pool NAME,NAME"
            )
    if layout is not None and (layout.kind, layout.length) != (first.card.kind, len(first)):
        raise ConfigError(
            f"The pool holds {first.card.kind}s of {len(first)} virtual tokens, wanted is a "
            f"{layout.kind} of {layout.length}. Leave length out, or tune sources of that length."
        )
    flat = [_flat(prompt) for prompt in prompts.values()]
    return Pool(
        tuple(prompts),
        tuple(prompt.card.task for prompt in prompts.values()),
        {site: torch.stack([tables[site] for tables in flat]) for site in flat[0]},
    )


def parents(prompts: Mapping[str, Prompt], relation: str) -> tuple[Parent, ...]:
    """The sources as a card names them."""
    return tuple(
        Parent(name=name, content_hash=prompt.content_hash, relation=relation)
        for name, prompt in prompts.items()
    )


def kind_of(prompts: Mapping[str, Prompt]) -> tuple[Kind, int, tuple[str, ...]]:
    """Kind, length and attention sites of a pool's first prompt."""
    first = next(iter(prompts.values()))
    sites = tuple(first.tensors()) if first.card.kind == "prefix" else ()
    return first.card.kind, len(first), sites


def _form(prompt: Prompt) -> str:
    sites = f" at {', '.join(prompt.tensors())}" if prompt.card.kind == "prefix" else ""
    return f"{prompt.card.kind} of {len(prompt)} virtual tokens{sites}"


def _flat(prompt: Prompt) -> dict[str, Tensor]:
    return Layout(prompt.card.kind, len(prompt), 0, {}).flatten(prompt.tensors())
