"""What commands print: results to standard output, everything else to standard error."""

from __future__ import annotations

import json
import math
import os
import sys
import textwrap
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from promptgraft.training import Report, Scores

SMALL_SCALES = ("nist", "cider")  # metrics that papers print with two decimals
LONGEST = 300  # characters of a sample's line
FIELD = 2000  # of a line of a card
WIDTH = 96  # of a line of scores
PAUSE = 30.0  # seconds between the lines of a run that no one watches


def silence() -> None:
    """No progress bars, advice or warnings of the libraries; only what promptgraft says."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")
    os.environ.setdefault("DATASETS_VERBOSITY", "error")
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    warnings.filterwarnings("ignore")


def note(text: str) -> None:
    """A line for people, to standard error."""
    print(text, file=sys.stderr)


def print_json(value: Any) -> None:
    """The result for scripts; paths and other objects as texts."""
    print(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as their longest cell, under their names; numbers at the right."""
    rows = [list(map(harmless, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    right = [all(_is_number(row[n]) for row in rows) for n in range(len(head))]
    for line in (head, *rows):
        cells = (
            cell.rjust(width) if numbers else cell.ljust(width)
            for cell, width, numbers in zip(line, widths, right, strict=True)
        )
        print("  ".join(cells).rstrip())


def print_facts(facts: Sequence[tuple[str, str]]) -> None:
    """Names and values, one pair to a line; a value's further lines under its first."""
    width = max(len(name) for name, _ in facts)
    for name, value in facts:
        first, *more = map(harmless, value.split("\n"))
        print(f"{name.ljust(width)}  {first}".rstrip())
        for line in more:
            print(" " * width + f"  {line}")


def harmless(text: str) -> str:
    """Text of a card, which others may have written, for a terminal: no control characters and no
    marks of direction, and not without end."""
    if len(text) <= FIELD and text.isprintable():
        return text
    kept = "".join(char if char.isprintable() else repr(char)[1:-1] for char in text[:FIELD])
    return kept + (f" … ({len(text):,} characters)" if len(text) > FIELD else "")


def sparkline(values: Sequence[float]) -> str:
    """A curve in one line of blocks, lowest to highest; what is not finite is left out."""
    drawn = [value for value in values if math.isfinite(value)]
    low, high = min(drawn, default=0.0), max(drawn, default=0.0)
    step = (high - low) / 7 or 1
    return "".join("▁▂▃▄▅▆▇█"[round((value - low) / step)] for value in drawn)


def scores(found: Scores) -> str:
    """`accuracy 81.2 (78.4 to 83.9)  f1 …`: per cent, with 95 % intervals."""
    parts = []
    for name, value in found.scores.items():
        span = " to ".join(shown(name, end) for end in found.intervals.get(name, ()))
        parts.append(f"{name} {shown(name, value)}" + (f" ({span})" if span else ""))
    return "  ".join(parts)


def print_scores(found: Scores, rows: str) -> None:
    """The scores, `seen: bleu 61.2  ter 35.0` for each group of rows that was scored apart, and
    what was left out."""
    kept = "\xa0"  # a space that no line ends at
    parts = [part.replace(" ", kept) for part in (*scores(found).split("  "), f"on {rows}")]
    print("\n".join(textwrap.wrap("  ".join(parts), WIDTH)).replace(kept, " "))
    for group, values in found.groups.items():
        print(f"{group}: " + "  ".join(f"{name} {shown(name, v)}" for name, v in values.items()))
    for name, lack in found.lacking.items():
        note(f"{name} was left out: it needs {lack}.")


def _validated(measure: str, score: float) -> str:
    return f"{measure} {shown(measure, -score if measure == 'loss' else score)}"


def shown(name: str, value: float) -> str:
    """A value of a metric, the last word of a name such as "validation loss" or "rte accuracy"."""
    *_, metric = name.split()
    if metric == "loss":
        return f"{value:.3f}"
    return f"{value:.2f}" if metric in SMALL_SCALES else f"{value:.1f}"


def percent(share: float) -> str:
    """Two digits: 0.079 %, 24 %, 100 %."""
    return f"{float(f'{100 * share:.2g}'):g} %"


@contextmanager
def progress(what: str, samples: Path | None = None) -> Iterator[Callable[[Report], None]]:
    """One line on standard error: what, step, loss, metric, rate, time left.

    Yields a function that takes the reports of a run. How it ended stays on the screen. Where no
    one watches (a log file), a line now and then. Of several processes the first one tells.

    samples  a run's samples.txt: its first one is shown above the line whenever it changes
    """
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn

    from promptgraft.training import processes

    if not processes.first():
        yield lambda _: None
        return
    watched = sys.stderr.isatty()
    columns = SpinnerColumn(), TextColumn("{task.description}")
    started = said = time.monotonic()
    last, sampled = [what], _changed(samples)
    with Progress(
        *columns, console=Console(stderr=True), transient=True, disable=not watched
    ) as bar:
        line = bar.add_task(what, total=None)

        def report(now: Report) -> None:
            nonlocal said, sampled
            if samples is not None and (changed := _changed(samples)) not in (None, sampled):
                sampled = changed
                lines = samples.read_text("utf-8").splitlines()
                for text in lines[:3]:  # input, written, reference
                    cut = text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
                    bar.console.print(cut, markup=False, highlight=False, soft_wrap=True)
            last[:] = [what, f"{now.step}/{now.steps}", f"loss {now.loss:.3f}"]
            if now.score is not None:
                last.append(f"validation {_validated(now.measure, now.score)}")
            bar.update(line, completed=now.step, total=now.steps + 1)  # one for what comes after
            speed = bar.tasks[line].speed
            rate = f"{speed:.1f}/s" if speed and now.seconds_left else ""
            left = f"{clock(now.seconds_left)} left" if now.seconds_left else "scoring"
            text = "  ".join((*last, rate, left))
            bar.update(line, description=text)
            if not watched and time.monotonic() - said > PAUSE:
                note(text)
                said = time.monotonic()

        yield report
    note("  ".join((*last, clock(time.monotonic() - started))))


def _changed(file: Path | None) -> int | None:
    """When, in nanoseconds; None: it is not there."""
    return file.stat().st_mtime_ns if file is not None and file.exists() else None


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """A line that says what takes so long; nothing remains of it."""
    from rich.console import Console

    with Console(stderr=True).status(what):
        yield


def clock(seconds: float) -> str:
    """Minutes and seconds: 2:05."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).removeprefix("-").isdigit() or not text
