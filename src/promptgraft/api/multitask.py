"""Multi-task tuning: the rows of several other tasks together, before a task's own."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from promptgraft import tasks
from promptgraft.api.config import TuneConfig
from promptgraft.api.job import Job
from promptgraft.errors import StoppedError
from promptgraft.training import Objective, Report, encode, train


def begin_with_others(
    job: Job[Any], config: TuneConfig, report: Callable[[Report], None] | None = None
) -> None:
    """Train a job's module on the rows of `config.multitask`, each as often as any other.

    As the run itself is trained, but for the number of steps and that nothing is validated. Raises
    as `train` does; after Ctrl-C nothing is kept.
    """
    if not config.multitask:
        return
    model, rows = job.model, []
    for name in config.multitask:
        task = tasks.load(name)
        template = task.template(model.family)
        rows += encode(model, task, task.rows("train"), job.module, template)
    objective = Objective(model, task, "vocabulary", template)  # over all words: of every task
    settings = config.training().model_copy(update={"steps": config.multitask_steps})
    try:
        with TemporaryDirectory() as folder:
            train(job.module, rows, objective, settings, Path(folder), report=report)
    except StoppedError:
        raise StoppedError(
            "Stopped on the rows of the other tasks, of which nothing is kept; begin again."
        ) from None
