"""Run settings, whatever they ask for, from the start or from a checkpoint."""

from collections.abc import Callable
from pathlib import Path

from promptgraft import files
from promptgraft.api import choosing
from promptgraft.api.config import TuneConfig
from promptgraft.api.joint import JointConfig, JointRun, tune_jointly
from promptgraft.api.shared import SharedConfig, SharedRun, tune_shared
from promptgraft.api.tuning import Run, tune
from promptgraft.api.weights import Weights, tune_weights
from promptgraft.errors import PromptgraftError
from promptgraft.library import Library
from promptgraft.models import FrozenModel
from promptgraft.training import Report, read


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
    settings = folder / "config.yaml"
    written = settings.read_text()
    kind: type[TuneConfig] = TuneConfig
    if "\nsampling:" in written:  # a setting of runs of several tasks alone
        kind = JointConfig
    elif "\nwords:" in written:  # and of several models
        kind = SharedConfig
    return run(read(kind, settings, {"out": folder}), library=library, resume=True, report=report)


def has_checkpoint(folder: Path) -> bool:
    """Whether a run was stopped there, in training or while its method was being chosen."""
    files.heal(folder / "checkpoint")
    return (folder / "checkpoint").is_dir() or choosing.under_way(folder)
