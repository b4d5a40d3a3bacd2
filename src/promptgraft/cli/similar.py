"""`promptgraft similar`: the prompts that are most like one."""

from __future__ import annotations

from typing import Annotated

import typer

from promptgraft.cli import terminal
from promptgraft.cli.options import Json, LibraryPath, PromptName, opened

EPILOG = """\b
Example:
$ promptgraft similar sst2@mini/bert-s
"""


def command(
    prompt: PromptName,
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="How many.")] = 10,
    across: Annotated[
        bool,
        typer.Option(
            "--across", help="Compare with prompts of all models, through the words they share."
        ),
    ] = False,
    library: LibraryPath = None,
    as_json: Json = False,
) -> None:
    """List the prompts that are most like one, by the cosine of their means.

    Across models, which the command then loads, prompts are compared by their cosines with the
    words that all these models know.
    """
    from promptgraft.api import curating

    store = opened(library)
    with terminal.waiting("comparing"):
        found, skipped = curating.similar(prompt, count, across=across, library=store)
    for reason in skipped:
        terminal.note(f"left out: {reason}")
    if as_json:
        terminal.print_json([one._asdict() for one in found])
        return
    if not found:
        terminal.note(f"Nothing in {store.path} can be compared with {prompt}.")
        return
    terminal.print_table(("NAME", "COSINE"), [(name, f"{cosine:.3f}") for name, cosine in found])
