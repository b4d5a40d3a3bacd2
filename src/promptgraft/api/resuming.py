"""Go on with a run that was stopped, whatever it tunes."""

from collections.abc import Callable
from pathlib import Path

from promptgraft import files
from promptgraft.api.config import TuneConfig
from promptgraft.api.joint import JointConfig, JointRun, tune_jointly
from promptgraft.api.tuning import Run, tune
from promptgraft.api.weights import Weights, tune_weights
from promptgraft.errors import PromptgraftError
from promptgraft.library import Library
from promptgraft.training import Report, read


def resume(
    folder: Path,
    *,
    library: Library | None = None,
    report: Callable[[Report], None] | None = None,
) -> Run | JointRun | Weights:
    """Go on with a run that was stopped, with the settings in its folder."""
    files.heal(folder / "checkpoint")
    if not (folder / "checkpoint").is_dir():
        raise PromptgraftError(f"{folder} holds no checkpoint; nothing can be resumed there.")
    settings = folder / "config.yaml"
    if "\nsampling:" in settings.read_text():  # a setting of joint runs alone
        joint: JointConfig = read(JointConfig, settings, {"out": folder})
        return tune_jointly(joint, library=library, resume=True, report=report)
    config: TuneConfig = read(TuneConfig, settings, {"out": folder})
    if config.trains_weights:
        return tune_weights(config, resume=True, report=report)
    return tune(config, library=library, resume=True, report=report)
