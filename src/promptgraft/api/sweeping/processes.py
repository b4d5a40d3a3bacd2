"""The jobs of a sweep in processes of this machine."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

import torch

from promptgraft.api.sweeping.grid import Job
from promptgraft.training import Report

TRIES = 3  # processes that a job may lose before it is given up
START = (  # until it can take Ctrl-C it may end by it, without a word
    "import signal; signal.signal(signal.SIGINT, signal.SIG_DFL); "
    "from promptgraft.api.sweeping.worker import main; main()"
)


@dataclass(frozen=True)
class Ended:
    """A job that is over; `error` says what went wrong."""

    job: Job
    error: str | None = None


Event = tuple[Job, Report] | Ended


def in_processes(jobs: Sequence[Job], library: Path, workers: int) -> Iterator[Event]:
    """Do the jobs; yields every step and every end.

    A job whose process dies is begun again in a new one, from its checkpoint. Left early, by
    Ctrl-C too, those that run save a checkpoint and end.
    """
    crew = _Crew(jobs, library, min(workers, len(jobs)))
    try:
        yield from crew.events()
    finally:
        crew.stop()


class _Crew:
    """So many threads, each with a process that it gives one job after the other."""

    def __init__(self, jobs: Sequence[Job], library: Path, workers: int) -> None:
        self.waiting, self.library = list(jobs), library
        self.models: dict[int, object] = {}  # that the processes hold, by thread
        self.processes: dict[int, subprocess.Popen[str]] = {}
        self.told: SimpleQueue[Event | None] = SimpleQueue()
        self.lock, self.stopping = threading.Lock(), False
        cores = max(1, torch.get_num_threads() // max(1, workers))
        self.environment = {
            **os.environ, "OMP_NUM_THREADS": str(cores), "PYTHONWARNINGS": "ignore"
        }  # fmt: skip
        self.threads = [threading.Thread(target=self._work, args=(n,)) for n in range(workers)]
        for thread in self.threads:
            thread.start()

    def events(self) -> Iterator[Event]:
        for _ in self.threads:
            while (event := self.told.get()) is not None:
                yield event

    def stop(self) -> None:
        """Let the jobs that run save what they have reached, and wait until all is over."""
        with self.lock:
            self.stopping = True
            for process in list(self.processes.values()):
                process.send_signal(signal.SIGINT)
        try:
            for thread in self.threads:
                thread.join()
        except KeyboardInterrupt:  # once more: do not even wait for that
            for process in list(self.processes.values()):
                process.kill()
            raise

    def _work(self, me: int) -> None:
        try:
            while (job := self._next(me)) is not None:
                for _ in range(TRIES):
                    try:
                        self._do(me, job)
                        break
                    except (EOFError, BrokenPipeError):
                        code = self.processes.pop(me).wait()
                else:
                    self.told.put(Ended(job, f"its process ended {TRIES} times, with code {code}; "
                                             "perhaps there is too little memory."))  # fmt: skip
            if me in self.processes:
                self.processes.pop(me).communicate()  # no more jobs
        finally:
            self.told.put(None)

    def _next(self, me: int) -> Job | None:
        """The next job: of the model that my process has, else of one that no other has."""
        with self.lock:
            if self.stopping or not self.waiting:
                return None
            mine = self.models.pop(me, None)
            others = set(self.models.values())
            job = min(self.waiting, key=lambda job: (job.model != mine, job.model in others))
            self.waiting.remove(job)
            self.models[me] = job.model
            return job

    def _do(self, me: int, job: Job) -> None:
        """Raises EOFError or BrokenPipeError if the process dies."""
        with self.lock:
            if self.stopping:
                return
            if me not in self.processes:
                self.processes[me] = self._start()
        process = self.processes[me]
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(job.pack()) + "\n")
        process.stdin.flush()
        while line := process.stdout.readline():
            message = json.loads(line)
            if "report" in message:
                self.told.put((job, Report(**message["report"])))
                continue
            if message["ended"]:
                self.told.put(Ended(job, message["error"]))
            return
        raise EOFError

    def _start(self) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-c", START, str(self.library)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=self.environment,
            start_new_session=True,  # Ctrl-C goes to us alone, and from us to them once
        )
