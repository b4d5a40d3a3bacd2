"""A sweep from its settings to its table."""

import fcntl
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from promptgraft import files
from promptgraft.api.sweeping.grid import SweepConfig, jobs
from promptgraft.api.sweeping.on_ray import on_ray
from promptgraft.api.sweeping.processes import Ended, Event, in_processes
from promptgraft.api.sweeping.table import Row, rows_of, save
from promptgraft.errors import PromptgraftError, StoppedError
from promptgraft.library import Library


@dataclass(frozen=True)
class Sweep:
    """What came of a sweep.

    failed  by the names of jobs: what went wrong
    table   the file of the rows
    """

    rows: list[Row]
    failed: Mapping[str, str]
    table: Path


def sweep(
    config: SweepConfig,
    folder: Path,
    *,
    library: Library | None = None,
    workers: int = 1,
    ray: str | None = None,
    report: Callable[[Event], None] | None = None,
) -> Sweep:
    """Do the jobs that are not done yet; each comes to what `tune` makes of its settings.

    folder   for the jobs' run folders and table.csv; its name is in the tags of their prompts
    workers  processes on this machine; of a model each loads the weights once for all its jobs
    ray      a Ray cluster's address in their place, see `on_ray`

    Raises ConfigError for wrong settings before anything is begun, and StoppedError after Ctrl-C.
    """
    todo = jobs(config, folder)
    failed: dict[str, str] = {}
    with _alone(folder):
        with files.whole_file(folder / "sweep.yaml") as temporary:
            temporary.write_text(yaml.safe_dump(config.model_dump(), sort_keys=False))
        place = (library or Library()).path.resolve()
        left = [job for job in todo if not job.done]
        events: Iterator[Event] = (
            in_processes(left, place, workers) if ray is None else on_ray(left, place, ray, workers)
        )
        try:
            with closing(events):  # type: ignore[type-var]
                for event in events:
                    if isinstance(event, Ended) and event.error is not None:
                        failed[event.job.name] = event.error
                    if report is not None:
                        report(event)
        except KeyboardInterrupt:
            done = sum(job.done for job in todo)
            raise StoppedError(
                f"Stopped with {done} of {len(todo)} jobs done; the same command goes on."
            ) from None
        rows = rows_of(todo)
        save(rows, folder / "table.csv")
    return Sweep(rows, failed, folder / "table.csv")


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Refuse a second sweep in the same folder, whose jobs would write to the same runs."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / ".lock", os.O_CREAT | os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise PromptgraftError(f"Another sweep is at work in {folder}; wait for its end.") from None
    try:
        yield
    finally:
        os.close(descriptor)
