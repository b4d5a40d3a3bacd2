"""`promptgraft sweep`: tune for every combination of some settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from promptgraft.cli import terminal
from promptgraft.cli.options import Json, LibraryPath, Ray

if TYPE_CHECKING:
    from promptgraft.api.sweeping import Job, Row
    from promptgraft.api.sweeping.processes import Event

EPILOG = """\b
base: holds the settings of all jobs, as tune takes them; grid: lists of values, of which every
combination is tuned. A value that needs settings of its own is a mapping of all of them:
  method: [soft-prompt, {method: crosspt, pool: 'glue/*'}]

\b
Example:
$ promptgraft sweep examples/sweep.yaml
done    method=soft-prompt seed=0
done    method=soft-prompt seed=1
done    method=soft-prompt seed=2
done    method=prefix seed=0
done    method=prefix seed=1
done    method=prefix seed=2
METHOD       VALIDATION ACCURACY  ACCURACY             SEEDS
soft-prompt  69.0 (63.8 to 74.2)  69.2 (67.3 to 71.0)      3
prefix       70.6 (66.2 to 75.0)  69.4 (68.0 to 70.9)      3

\b
Table   sweeps/sweep/table.csv
Prompts TASK@MODEL:sweep-… in ~/.promptgraft/library
"""


def command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="base: and grid:, as YAML.")],
    workers: Annotated[int, typer.Option(min=1, help="Jobs at a time.")] = 1,
    ray: Ray = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="For the runs. [default: sweeps/FILE]"),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list the jobs.")] = False,
    library: LibraryPath = None,
    as_json: Json = False,
) -> None:
    """Tune for every combination of tasks, methods, settings and seeds.

    The same command goes on after Ctrl-C, and does what was added to the file. Prompts are kept
    in the library; table.csv has the means over seeds with their 95 % intervals.
    """
    from promptgraft.api import sweeping
    from promptgraft.errors import PromptgraftError
    from promptgraft.library import Library
    from promptgraft.training import read

    config: sweeping.SweepConfig = read(sweeping.SweepConfig, file)
    folder = out or Path("sweeps") / file.stem
    jobs = sweeping.jobs(config, folder)
    if dry_run:
        _print_jobs(jobs, as_json)
        return
    with _progress(jobs) as report:
        done = sweeping.sweep(
            config, folder, library=Library(library), workers=workers, ray=ray, report=report
        )
    if as_json:
        terminal.print_json(asdict(done))
    else:
        _print_rows(done.rows)
        print(f"\nTable   {done.table}")
        print(f"Prompts TASK@MODEL:{folder.name}-… in {Library(library).path}")
    if done.failed:
        lines = [f"  {name}: {error}" for name, error in done.failed.items()]
        raise PromptgraftError(f"{len(lines)} of {len(jobs)} jobs failed:\n" + "\n".join(lines))


def _print_jobs(jobs: list[Job], as_json: bool) -> None:
    if as_json:
        listed = [{"folder": job.folder, "done": job.done, "settings": job.pack()} for job in jobs]
        terminal.print_json(listed)
        return
    from promptgraft.api.sweeping.grid import shown

    keys = list(dict.fromkeys(key for job in jobs for key in job.point))
    cells = [
        [
            *(shown(job.point.get(key, "")) for key in keys),
            "done" if job.done else "",
            job.folder.name,
        ]
        for job in jobs
    ]
    terminal.print_table([*(key.upper() for key in keys), "", "RUN"], cells)


def _print_rows(rows: list[Row]) -> None:
    from promptgraft.api.sweeping.grid import shown
    from promptgraft.api.sweeping.table import columns

    keys, metrics = columns(rows)
    lines = []
    for row in rows:
        cells = [shown(row.point.get(key, "")) for key in keys]
        for name in metrics:
            mean = row.scores.get(name)
            ends = () if mean is None else mean.interval or ()
            span = " to ".join(terminal.shown(name, end) for end in ends)
            value = "" if mean is None else terminal.shown(name, mean.value)
            cells.append(f"{value} ({span})" if span else value)
        lines.append([*cells, str(row.seeds)])
    terminal.print_table([*(key.upper() for key in [*keys, *metrics]), "SEEDS"], lines)


@contextmanager
def _progress(jobs: list[Job]) -> Iterator[Callable[[Event], None]]:
    """A line for every job that ends, and below them, where someone watches, those that run."""
    from rich.console import Console

    from promptgraft.api.sweeping.processes import Ended

    ended = sum(job.done for job in jobs)
    running: dict[str, str] = {}
    console = Console(stderr=True)
    with console.status(f"{ended} of {len(jobs)} jobs done") as line:

        def report(event: Event) -> None:
            nonlocal ended
            if isinstance(event, Ended):
                running.pop(event.job.name, None)
                ended += event.error is None
                said = "failed" if event.error is not None else "done"
                terminal.note(f"{said.ljust(6)}  {event.job.name}")
            else:
                job, now = event
                running[job.name] = f"{job.name}  {now.step}/{now.steps}  loss {now.loss:.3f}"
            line.update("\n  ".join([f"{ended} of {len(jobs)} jobs done", *running.values()]))

        yield report
