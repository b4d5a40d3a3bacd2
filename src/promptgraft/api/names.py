"""Names of prompts, models and tasks, and what they stand for."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from promptgraft import prompts, tasks
from promptgraft.errors import ConfigError, PromptgraftError
from promptgraft.library import Library
from promptgraft.models import FrozenModel
from promptgraft.prompts import Ensemble, Prompt, PromptCard
from promptgraft.tasks import SPLITS, Task
from promptgraft.transfer.across_tasks import AdaptivePrompt, Runnable, restore


def resolve(name: str, library: Library | None = None) -> Prompt:
    """A prompt by its folder, or by its name in the library."""
    if is_folder(name):
        return prompts.load(Path(name))
    return (library or Library()).get(name)


def is_folder(name: str) -> bool:
    """Whether the name is that of a prompt's folder; else it is one of the library."""
    return (Path(name) / "prompt.json").is_file()


def load_module(name: str, library: Library | None = None) -> prompts.ModuleState | None:
    """The module that was kept with a prompt (`keep_module`), or None."""
    if is_folder(name):
        return prompts.load_module_state(Path(name))
    return prompts.load_module_state((library or Library()).show(name).path)


def runnable(
    name: str | Runnable | None,
    value: Runnable | None,
    model: FrozenModel,
    library: Library | None = None,
) -> Runnable | None:
    """What the model is run with: the value, or what is stored beside it: the module that looks at
    each row, or the other prompts that vote."""
    if not isinstance(name, str) or value is None:
        return value
    state = load_module(name, library)
    return (restore(state, model, value.card) if state else None) or value


def refuse_modules(
    name: str | Prompt, value: Prompt, model: FrozenModel, library: Library | None = None
) -> None:
    """Raise PromptgraftError if what was scored under that name is more than the value: a module
    that looks at each row, or changes the embeddings, or an ensemble."""
    run = runnable(name, value, model, library)
    if isinstance(run, Ensemble):
        raise PromptgraftError(
            f"{value.card.title} is an ensemble of {len(run.members)} prompts, which can neither "
            "be exported nor moved to another model as one. Its members are prompts by themselves, "
            "in the folder members of the run that tuned them."
        )
    if isinstance(run, AdaptivePrompt):
        raise PromptgraftError(
            f"{value.card.title} is a module of the method {value.card.method}, which no prompt "
            "alone can stand for: it can neither be exported nor moved to another model."
        )


def library_name(card: PromptCard, tag: str | None) -> str:
    """task@model[:tag]; a model that is a local folder goes by the folder's name."""
    return name_for(card.task, card.base.name, tag)


def name_for(task: str | None, model: str, tag: str | None) -> str:
    """As `library_name`, before there is a card."""
    model = Path(model).name if Path(model).is_dir() else model
    return f"{tasks.name_of(task or 'untitled')}@{model}" + (f":{tag}" if tag else "")


def task_for(prompt: Runnable | None, task: str | Task | None, data: Mapping[str, Any]) -> Task:
    """The task that is named, else the one that the prompt was tuned for, read the same way."""
    if isinstance(task, Task):
        return task
    card = prompt.card if prompt is not None else None
    name = task
    if name is None:
        if card is None:
            raise ConfigError("The task must be named: task=...")
        name = own_task(card, "score it on")
    if card is not None and not data and (name == card.task or not tasks.known(name)):
        own = card.hyperparameters.get("data")
        data = {k: v for k, v in own.items() if k not in SPLITS} if isinstance(own, dict) else {}
        if card.verbalizer:
            data = {"verbalizer": card.verbalizer, **data}
    return tasks.load(name, **data)


def own_task(card: PromptCard, purpose: str) -> str:
    """The task that a prompt was tuned for. Raises ConfigError if its data cannot be found by that
    name, which says what data to name for the purpose."""
    if card.task is None or not tasks.known(card.task):
        raise ConfigError(
            f"{card.title} was tuned on {card.task or 'nothing that is named'}, which is not "
            f"built in: name the data to {purpose}, with --task or task=..."
        )
    return card.task


def model_for(prompt: Runnable | None, model: str | FrozenModel | None) -> FrozenModel:
    """The model that is named, else the one that the prompt was made for."""
    if isinstance(model, FrozenModel):
        return model
    if model is None:
        if prompt is None:
            raise ConfigError("Without a prompt the model must be named: model=...")
        model = prompt.card.base.name
    return FrozenModel.load(model)
