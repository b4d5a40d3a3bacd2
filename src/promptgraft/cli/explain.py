"""`promptgraft explain`: what a prompt is mixed from."""

from __future__ import annotations

from typing import Annotated

import typer

from promptgraft.cli import completion, terminal
from promptgraft.cli.options import Json, LibraryPath, Model, PromptName

EPILOG = """\b
Example:
  promptgraft explain reviews@mini/t5-s
"""


def command(
    prompt: PromptName,
    task: Annotated[
        str | None,
        typer.Option(
            "--task",
            "-t",
            help="Whose rows to show. [default: its own]",
            autocompletion=completion.tasks,
        ),
    ] = None,
    rows: Annotated[int, typer.Option(min=1, help="How many rows.")] = 5,
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    model: Model = None,
    library: LibraryPath = None,
    as_json: Json = False,
) -> None:
    """Say what a prompt borrowed from which source prompt.

    Where each input has a mixture of its own (ptg, attempt), some rows are shown with theirs; of a
    method that mixes none (mpt, dept) what it is.
    """
    from promptgraft.api import understanding
    from promptgraft.library import Library

    with terminal.waiting("looking"):
        found = understanding.explain(
            prompt, rows, task=task, split=split, model=model, library=Library(library)
        )
    if as_json:
        shown = [{"row": row, "shares": shares} for row, shares in found.rows]
        form = {"form": found.form} if found.form else {}
        terminal.print_json({"prompt": prompt, "shares": found.shares, "rows": shown, **form})
        return
    if found.form:
        print(f"{prompt} has no shares of other prompts. It is {found.form}.")
        return
    terminal.print_table(("SHARE", "PROMPT"), [(f"{s:.3f}", n) for n, s in found.shares.items()])
    for row, shares in found.rows:
        print()
        print(" | ".join(str(value) for value in row.values()))
        best = sorted(shares.items(), key=lambda pair: -pair[1])
        print("  " + "  ".join(f"{name} {share:.3f}" for name, share in best[:4]))
