"""Which prompts of a library a new task should start from."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch

from promptgraft import modules, tasks
from promptgraft.api.borrowing import probe, sources
from promptgraft.api.config import TuneConfig
from promptgraft.errors import ConfigError
from promptgraft.library import Library
from promptgraft.models import Batch, FrozenModel, PromptTensors
from promptgraft.modules import INITIALISERS, Start
from promptgraft.prompts import Prompt
from promptgraft.tasks import Task
from promptgraft.training import Objective, encode, mean_loss, read
from promptgraft.transfer.across_tasks import SIMILARITIES, pool_of, vectors


class Recommendation(NamedTuple):
    """A source prompt and what speaks for it.

    loss        of the task's rows under it, untuned: nats per label
    similarity  cosine of its mean with that of a prompt tuned for the task briefly, if one was
    """

    name: str
    loss: float
    similarity: float | None


def recommend(
    task: str | Task,
    model: str | FrozenModel,
    pool: Sequence[str] = ("*",),
    *,
    few_shot: int = 16,
    probe_steps: int = 0,
    data: Mapping[str, Any] | None = None,
    library: Library | None = None,
    **settings: Any,
) -> list[Recommendation]:
    """The pool's prompts, the one with the smallest loss first.

    One forward pass of every prompt over the few training rows.

    few_shot     rows of every label, or in all
    probe_steps  of a brief tuning to compare prompts with; 0: none. The prompts must then be alike
    settings     of that tuning, as for `tune`

    Raises ConfigError for a pattern that nothing fits and for prompts that cannot be compared.
    """
    chosen = task if isinstance(task, Task) else tasks.load(task, **(data or {}))
    chosen = chosen.few_shot(few_shot, settings.get("seed", 0))
    name = model if isinstance(model, str) else model.name
    named = {"model": name, "task": chosen.name, "pool": list(pool), "method": "spot"}
    config: TuneConfig = read(TuneConfig, None, named | settings)
    frozen = (
        model
        if isinstance(model, FrozenModel)
        else FrozenModel.load(name, config.device, config.dtype, max_length=config.max_length)
    )
    found = sources(config, frozen, (chosen.name,), library)
    if not found:
        raise ConfigError("The pool is empty: name prompts or patterns, such as '*@mini/t5-s'.")
    template = config.template or chosen.template(frozen.family)
    objective = Objective(frozen, chosen, config.objective, template)
    losses = {}
    for source, prompt in found.items():
        encoded = encode(frozen, chosen, chosen.rows("train"), prompt, template)
        losses[source] = mean_loss(objective, _always(prompt), encoded, config.batch_size)
    similar = _similarities(config, frozen, chosen, found, objective, template, probe_steps)
    return sorted(
        (Recommendation(source, loss, similar.get(source)) for source, loss in losses.items()),
        key=lambda one: one.loss,
    )


def _always(prompt: Prompt) -> Any:
    """The same prompt for every batch."""
    tensors = prompt.tensors()

    def emit(batch: Batch | None = None) -> PromptTensors:
        return tensors

    return emit


def _similarities(
    config: TuneConfig,
    model: FrozenModel,
    task: Task,
    found: Mapping[str, Prompt],
    objective: Objective,
    template: str,
    steps: int,
) -> dict[str, float]:
    if not steps:
        return {}
    pool = pool_of(found)
    first = next(iter(found.values()))
    layout = modules.layout(first.card.kind, len(first), model)
    generator = torch.Generator().manual_seed(config.seed)

    def draw() -> Start:
        return INITIALISERS["vocabulary"]()(model, layout, generator)

    encoded = encode(model, task, task.rows("train"), first, template)
    tuned = probe(config, layout, draw, encoded, objective)(steps)
    own = vectors({name: table[None].cpu() for name, table in tuned.items()})
    cosines = SIMILARITIES["cosine"](vectors(pool.stack()), own)[:, 0]
    return dict(zip(pool.names, cosines.tolist(), strict=True))
