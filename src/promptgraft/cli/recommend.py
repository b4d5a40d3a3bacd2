"""`promptgraft recommend`: which prompts a new task should start from."""

from __future__ import annotations

from typing import Annotated

import typer

from promptgraft.cli import completion, terminal
from promptgraft.cli.options import Json, LibraryPath, Model

EPILOG = """\b
Example:
  promptgraft recommend examples/reviews.csv --model mini/bert-s --pool '*@mini/bert-s' \\
      data.text=review data.label=stars 'data.verbalizer={1: bad, 5: good}'
"""


def command(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="TASK|KEY=VALUE",
            help="A task or file; then data.* settings.",
            autocompletion=completion.tasks,
        ),
    ],
    model: Model = None,
    pool: Annotated[
        str, typer.Option(metavar="NAMES", help="Names and patterns, with commas between.")
    ] = "*",
    few_shot: Annotated[
        int, typer.Option(metavar="N", min=1, help="Rows of every label, or in all.")
    ] = 16,
    probe_steps: Annotated[
        int, typer.Option(min=0, help="Steps of a brief tuning, to compare prompts with its.")
    ] = 0,
    library: LibraryPath = None,
    as_json: Json = False,
) -> None:
    """List the library's prompts by how well they answer a task's few rows as they are.

    With --probe-steps also by their likeness to a prompt that is tuned for the task briefly.
    """
    names = [word for word in words if "=" not in word]
    if len(names) != 1 or model is None:
        raise typer.BadParameter("name one task, and the model: --model mini/bert-s")

    from promptgraft.api import recommending
    from promptgraft.library import Library
    from promptgraft.training import parse_settings

    settings = parse_settings([word for word in words if "=" in word])
    with terminal.waiting("trying"):
        found = recommending.recommend(
            names[0],
            model,
            pool.split(","),
            few_shot=few_shot,
            probe_steps=probe_steps,
            library=Library(library),
            **settings,
        )
    if as_json:
        terminal.print_json([one._asdict() for one in found])
        return
    head = ("LOSS", "COSINE", "PROMPT") if probe_steps else ("LOSS", "PROMPT")
    rows = [
        (f"{one.loss:.3f}", *([f"{one.similarity:.3f}"] if probe_steps else []), one.name)
        for one in found
    ]
    terminal.print_table(head, rows)
