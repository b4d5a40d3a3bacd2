"""Move prompts to other models: without labels, chosen on labels, or refined by tuning."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from promptgraft import tasks
from promptgraft.analysis import curves, pictures
from promptgraft.api.config import TuneConfig
from promptgraft.api.names import (
    library_name,
    model_for,
    own_task,
    refuse_modules,
    resolve,
    task_for,
)
from promptgraft.api.outcome import Run
from promptgraft.api.tuning import tune
from promptgraft.errors import ConfigError, PromptgraftError
from promptgraft.library import Library
from promptgraft.models import FrozenModel
from promptgraft.prompts import Prompt, SoftPrompt
from promptgraft.tasks import Task
from promptgraft.training import Report, evaluate, read
from promptgraft.transfer import across_models
from promptgraft.transfer.across_models import Method, Relative
from promptgraft.transfer.across_models.baselines import Discretize
from promptgraft.transfer.across_models.maps import Linear, Procrustes
from promptgraft.transfer.across_models.recipes import DEFAULT

CANDIDATES: tuple[Method, ...] = (
    DEFAULT,
    Relative(),
    *(Relative(top_k=count) for count in (8192, 512, 32, 8, 2)),
    Discretize(),
    Linear(),
    Linear(ridge=0.1),
    Linear(normalise=True),
    Procrustes(),
    Procrustes(normalise=True),
)


def transfer(
    prompts: str | Prompt | Sequence[str | Prompt],
    to: str | FrozenModel,
    *,
    method: str | Method | None = None,
    recipe: str | None = None,
    settings: Mapping[str, Any] | None = None,
    sources: FrozenModel | Sequence[FrozenModel] | None = None,
    template: str | None = None,
    repair_lengths: bool = False,
    select_on: str | None = None,
    select_rows: int = 200,
    task: str | Task | None = None,
    data: Mapping[str, Any] | None = None,
    tag: str | None = None,
    keep: bool = True,
    library: Library | None = None,
) -> tuple[SoftPrompt, str]:
    """Move a soft prompt, or several of one task, to another model without training it; keep it.

    method, recipe, settings  how: see `across_models.method_of`
    sources                   default: the models that the prompts' cards name
    template                  default: the source's, or between families the task's own for the
                              target's family
    repair_lengths            repeat or cut prompts to the length of the first
    select_on                 the split ("dev" is "validation", "test" is refused) whose labelled
                              rows, at most `select_rows`, choose among `CANDIDATES`; the card says
                              so
    task, data                to select on, as for `evaluate`; default the prompt's own
    keep                      False: do not put it into the library; the name is what it would have

    Returns the new prompt and its name. Raises what `across_models.transfer` raises.
    """
    store = library or Library()
    given = [prompts] if isinstance(prompts, str | Prompt) else list(prompts)
    values = [resolve(one, store) if isinstance(one, str) else one for one in given]
    if not values:
        raise ConfigError("There is no prompt to move.")
    split = "validation" if select_on == "dev" else select_on
    if split == "test":
        raise ConfigError(
            "select_on=test would choose by the rows that the prompt is to be scored on; choose by "
            "others, with --select-on dev or select_on='dev'."
        )
    if split is not None and (method or recipe or settings):
        raise ConfigError("select_on chooses the method itself; name no method or settings.")
    if isinstance(sources, FrozenModel):
        sources = [sources]
    origins = list(sources or _loaded(values))
    for one, value, origin in zip(given, values, origins, strict=False):  # counts are checked later
        refuse_modules(one, value, origin, store)
    target = to if isinstance(to, FrozenModel) else FrozenModel.load(to)
    template = template or _template(values[0], origins[0], target)
    if split is not None:
        judged = task_for(values[0], task, data or {})
        judged = judged.subset(split, select_rows, seed=0)
        moved = _select(values, origins, target, template, repair_lengths, judged, split)
    else:
        if not isinstance(method, Method):
            method = across_models.method_of(method, recipe, settings)
        moved = across_models.transfer(values, origins, target, method, template, repair_lengths)
    if kept := values[0].card.hyperparameters.get("data"):  # the same columns and words are asked
        moved = _with(moved, data=kept)
    name = library_name(moved.card, tag)
    sent = {store.resolve(one) for one in given if isinstance(one, str) and one in store}
    if keep and name in sent:
        raise ConfigError(f"The moved prompt would replace its source {name}; give a tag.")
    return moved, store.add(moved, name, replace=True) if keep else name


def teach(
    name: str,
    steps: int,
    teachers: Sequence[str],
    *,
    tag: str = "taught",
    task: str | None = None,
    data: Mapping[str, Any] | None = None,
    library: Library | None = None,
    report: Callable[[Report], None] | None = None,
    **settings: Any,
) -> Run:
    """Tune a transferred prompt on what its sources answer to the task's inputs, without labels.

    teachers    the source prompts, in the library or in folders; their own models answer
    task, data  default: what the prompt was made for
    settings    of `TuneConfig`

    The result is kept as task@model:tag. Labels of test rows, where there are some, score it.

    Raises ConfigError, before anything is done, if no task is named and the prompt's own is not at
    hand.
    """
    store = library or Library()
    common = _further(name, steps, task, data, store, settings)
    config = _configured(
        common, tag, init="prompt", init_prompt=name, teachers=list(teachers), tag=tag
    )
    return tune(config, library=store, report=report)


@dataclass(frozen=True)
class Refined:
    """A transferred prompt tuned further, and the same tuning from random numbers."""

    warm: Run
    cold: Run
    picture: Path
    """Both validation curves."""


def refine(
    name: str,
    steps: int,
    *,
    tag: str = "refined",
    task: str | None = None,
    data: Mapping[str, Any] | None = None,
    library: Library | None = None,
    report: Callable[[Report], None] | None = None,
    **settings: Any,
) -> Refined:
    """Tune a transferred prompt of the library for a few steps, beside a random start.

    task, data  default: what the prompt was made for
    settings    of `TuneConfig`

    The refined prompt is kept as task@model:tag, the one from the random start is not. Raises as
    `teach` does.
    """
    store = library or Library()
    common = _further(name, steps, task, data, store, settings)
    config = _configured(common, tag, init="prompt", init_prompt=name, tag=tag)
    warm = tune(config, library=store, report=report)
    with tempfile.TemporaryDirectory() as scratch:
        config = _configured(common, f"{tag}-from-random", init="random")
        cold = tune(config, library=Library(Path(scratch)), report=report)
    picture = warm.folder / "warm-and-cold.png"
    runs = {"transferred": warm, "random": cold}
    lines = {name: curves.read(run.folder / "metrics.jsonl") for name, run in runs.items()}
    pictures.save(curves.compare(lines, warm.summary["validation"]), picture)
    return Refined(warm, cold, picture)


def _further(
    name: str,
    steps: int,
    task: str | None,
    data: Mapping[str, Any] | None,
    store: Library,
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    """Settings of a run that goes on with a prompt, of its own length, on its own model."""
    card = resolve(name, store).card
    return {
        "model": card.base.name,
        "task": task or own_task(card, "tune it on"),
        "data": data or card.hyperparameters.get("data", {}),
        "template": card.template,
        "length": card.length,
        "steps": steps,
        "evaluate_every": max(1, steps // 20),
        **settings,
    }


def _configured(common: Mapping[str, Any], suffix: str, **more: Any) -> TuneConfig:
    """Settings of a run in a folder of its own: the usual name and a suffix."""
    config: TuneConfig = read(TuneConfig, None, {**common, **more})
    folder = config.folder()
    return config.model_copy(update={"out": folder.with_name(f"{folder.name}-{suffix}")})


def _loaded(prompts: Sequence[Prompt]) -> list[FrozenModel]:
    """The prompts' own models, each loaded once."""
    models: dict[str, FrozenModel] = {}
    for prompt in prompts:
        base = prompt.card.base
        if base.identity not in models:
            models[base.identity] = model_for(prompt, None)
    return [models[prompt.card.base.identity] for prompt in prompts]


def _template(prompt: Prompt, source: FrozenModel, target: FrozenModel) -> str | None:
    if source.family == target.family or prompt.card.task is None:
        return None
    try:
        return tasks.load(prompt.card.task).template(target.family)
    except PromptgraftError:
        return None  # the task is not at hand; the target's plain template serves


def _select(
    prompts: Sequence[Prompt],
    sources: Sequence[FrozenModel],
    target: FrozenModel,
    template: str | None,
    repair_lengths: bool,
    task: Task,
    split: str,
) -> SoftPrompt:
    """The candidate that does best on labelled rows, as the released code of the paper chooses."""
    scored = []
    for method in CANDIDATES:
        moved = across_models.transfer(prompts, sources, target, method, template, repair_lengths)
        own = moved.card.template or task.template(target.family)
        found = evaluate(target, task, task.rows(split), moved, own, whole=False)
        scored.append((found.scores[task.metrics[0]], moved))
    best = max(scored, key=lambda pair: pair[0])[1]
    tried = [
        {"score": score, "method": moved.card.method, "settings": method.model_dump(mode="json")}
        for method, (score, moved) in zip(CANDIDATES, scored, strict=True)
    ]
    return _with(
        best,
        labels_used=True,
        selected_on={"split": split, "rows": len(task.rows(split)), "tried": tried},
    )


def _with(prompt: SoftPrompt, **facts: Any) -> SoftPrompt:
    settings = {**prompt.card.hyperparameters, **facts}
    return prompt.with_card(prompt.card.model_copy(update={"hyperparameters": settings}))
