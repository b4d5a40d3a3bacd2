"""Run settings, whatever they ask for, from the start or from a checkpoint."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from promptgraft import files
from promptgraft.api import auto
from promptgraft.api.config import TuneConfig
from promptgraft.api.joint import JointConfig, JointRun, tune_jointly
from promptgraft.api.outcome import Run
from promptgraft.api.shared import SharedConfig, SharedRun, tune_shared
from promptgraft.api.tuning import tune
from promptgraft.api.weights import Weights, tune_weights
from promptgraft.errors import ConfigError, PromptgraftError
from promptgraft.library import Library
from promptgraft.models import FrozenModel
from promptgraft.training import Report, merged, read


def settings(source: Path | None, given: Mapping[str, Any]) -> TuneConfig:
    """The settings in a YAML file, overridden by `given`, of the kind that they ask for.

    Where `task` or `model` is a list of several, one run tunes for all of them. The file may be
    the one that a run wrote.

    Raises ConfigError for wrong settings, and for several tasks and several models at once.
    """
    config: TuneConfig = read(kind_of(merged(source, given)), source, given)
    return config


def kind_of(values: Mapping[str, Any]) -> type[TuneConfig]:
    """The kind of run that settings, unchecked yet, ask for: several tasks or models are a list, or
    names with + between, and some settings are those of one kind alone."""

    def several(name: str, own: str) -> bool:
        given = values.get(name)
        if isinstance(given, str) and "+" in given and not Path(given).exists():
            given = given.split("+")
        return (isinstance(given, list) and len(given) > 1) or own in values

    tasks, models = several("task", own="sampling"), several("model", own="words")
    if tasks and models:
        raise ConfigError("Several models share the prompt of one task: name one task.")
    return JointConfig if tasks else SharedConfig if models else TuneConfig


def run(
    config: TuneConfig,
    *,
    library: Library | None = None,
    model: FrozenModel | None = None,
    resume: bool = False,
    report: Callable[[Report], None] | None = None,
) -> Run | JointRun | SharedRun | Weights:
    """Tune a prompt, prompts of several tasks or models or a baseline's weights, as the settings
    say.

    model  the one that they name, if it is loaded already
    """
    if isinstance(config, JointConfig):
        return tune_jointly(config, library=library, model=model, resume=resume, report=report)
    if isinstance(config, SharedConfig):
        return tune_shared(config, library=library, resume=resume, report=report)
    if config.trains_weights:
        return tune_weights(config, model=model, resume=resume, report=report)
    return tune(config, library=library, model=model, resume=resume, report=report)


def resume(
    folder: Path,
    *,
    library: Library | None = None,
    report: Callable[[Report], None] | None = None,
) -> Run | JointRun | SharedRun | Weights:
    """Go on with a run that was stopped, with the settings in its folder."""
    if not has_checkpoint(folder):
        raise PromptgraftError(f"{folder} holds no checkpoint; nothing can be resumed there.")
    config = settings(folder / "config.yaml", {"out": folder})
    return run(config, library=library, resume=True, report=report)


def has_checkpoint(folder: Path) -> bool:
    """Whether a run was stopped there, in training or between prompts that are to vote."""
    files.heal(folder / "checkpoint")
    return (folder / "checkpoint").is_dir() or auto.under_way(folder)
