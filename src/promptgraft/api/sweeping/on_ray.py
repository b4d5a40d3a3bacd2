"""The jobs of a sweep as tasks of a Ray cluster."""

import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from promptgraft.api.sweeping.grid import Job, unpack
from promptgraft.api.sweeping.processes import TRIES, Ended
from promptgraft.api.sweeping.worker import attempt
from promptgraft.errors import ConfigError, StoppedError

LOCAL = "local"
PATIENCE = 60.0  # seconds in which stopped jobs should have saved what they reached


def on_ray(jobs: Sequence[Job], library: Path, address: str, workers: int) -> Iterator[Ended]:
    """Do the jobs, those of one model one after the other; yields every end.

    address  of a cluster whose machines all see the folders of the sweep, of the library and of
             the data; "local": one that is started here, for `workers` tasks at a time

    A task takes a processor, and a GPU where there are any. Ray itself begins one anew whose
    process died, which goes on from its checkpoint. Left early, tasks are stopped as by Ctrl-C.
    """
    try:
        import ray
    except ImportError:
        raise ConfigError("This needs Ray: pip install 'promptgraft[ray]'.") from None
    where: dict[str, Any] = {"address": address}
    if address == LOCAL:
        where |= {"num_cpus": workers, "include_dashboard": False}
    try:
        ray.init(**where, logging_level=logging.ERROR, log_to_driver=False)
    except ConnectionError as error:
        raise ConfigError(f"There is no Ray cluster at {address}: {error}") from None
    try:
        gpus = 1 if ray.cluster_resources().get("GPU") else 0
        task = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=TRIES - 1)(_attempt)
        place = os.getcwd()
        ordered = sorted(jobs, key=lambda job: str(job.model))
        running = {task.remote(job.pack(), str(library), place): job for job in ordered}
        try:
            while running:
                (first, *_), _ = ray.wait(list(running))
                job = running.pop(first)
                yield Ended(job, _result(ray, first))
        finally:
            for one in running:
                ray.cancel(one)
            if running:
                ray.wait(list(running), num_returns=len(running), timeout=PATIENCE)
    finally:
        ray.shutdown()


def _result(ray: Any, task: Any) -> str | None:
    """What went wrong with a task that is over."""
    try:
        error: str | None = ray.get(task)
    except ray.exceptions.RayError as lost:  # its process died too often, or its machine
        error = f"Ray lost it: {str(lost).strip().splitlines()[0]}"
    return error


def _attempt(packed: dict[str, Any], library: str, place: str) -> str | None:
    """In a process of the cluster: do a job, with the paths of where the sweep was started."""
    if Path(place).is_dir():
        os.chdir(place)
    try:
        return attempt(unpack(packed), Path(library))
    except StoppedError as stopped:
        return str(stopped)
