"""`promptgraft report`: a page about runs or a library."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from promptgraft.cli import terminal

EPILOG = """\b
Example:
$ promptgraft report ~/.promptgraft/library --out library.html
$ promptgraft report runs/sst2@mini-bert-s
$ promptgraft report runs --out runs.html
"""


def command(
    what: Annotated[
        Path,
        typer.Argument(
            metavar="RUN|LIBRARY", help="A run's folder, a folder of runs, or a library's folder."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="The page.")] = Path(
        "report.html"
    ),
) -> None:
    """Write one HTML page that needs nothing but a browser.

    Of runs: curves, scores with their intervals, what was written. Of a library: its prompts, how
    alike those of a model are, and what was made from what.
    """
    from promptgraft.api import reporting

    with terminal.waiting(f"reading {what}"):
        file = reporting.write_report(what, out)
    print(file)
