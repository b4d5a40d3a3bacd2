"""What is done with a job, in whatever process: begun, gone on with, or left as it is."""

import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from promptgraft.api.running import has_checkpoint, run
from promptgraft.api.sweeping.grid import Job, unpack
from promptgraft.errors import PromptgraftError, StoppedError
from promptgraft.library import Library
from promptgraft.models import FrozenModel
from promptgraft.training import Report

ERROR = "error.txt"
_held: dict[tuple[str, str, str, int | None], FrozenModel] = {}  # at most one


def attempt(job: Job, library: Path, report: Callable[[Report], None] | None = None) -> str | None:
    """Do a job that is not done, from its checkpoint if it has one.

    Returns what went wrong, or None. An error that no user can have made leaves its traceback in
    the job's folder. Raises StoppedError after Ctrl-C.
    """
    if job.done:
        return None
    (job.folder / ERROR).unlink(missing_ok=True)
    try:
        again = has_checkpoint(job.folder)
        model = _model(job)
        run(job.config, library=Library(library), model=model, resume=again, report=report)
    except (StoppedError, BrokenPipeError):
        raise
    except PromptgraftError as error:
        return str(error)
    except Exception as error:
        job.folder.mkdir(parents=True, exist_ok=True)
        (job.folder / ERROR).write_text(traceback.format_exc())
        return f"{type(error).__name__}: {error} (see {job.folder / ERROR})"
    return None


def _model(job: Job) -> FrozenModel:
    """The job's model, shared with the job before if it had the same."""
    if job.model not in _held:
        _held.clear()  # first, as there may be no room for two
        name, device, dtype, longest = job.model
        _held[job.model] = FrozenModel.load(name, device, dtype, max_length=longest)
    return _held[job.model]


def main() -> None:
    """Do the jobs that come in as lines of JSON; tell every step and every end in such lines.

    The first argument is the library's folder. Ends when there is nothing more to read, or when
    nobody listens any more.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    told = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a library prints must not come between

    def tell(**message: Any) -> None:
        told.write(json.dumps(message) + "\n")

    library = Path(sys.argv[1])
    try:
        while line := sys.stdin.readline():
            job = unpack(json.loads(line))
            try:
                error = attempt(job, library, lambda now: tell(report=asdict(now)))
                tell(ended=True, error=error)
            except (StoppedError, KeyboardInterrupt):
                tell(ended=False)
    except (KeyboardInterrupt, BrokenPipeError):
        os._exit(1)  # at once, without a last flush into a pipe that is closed
