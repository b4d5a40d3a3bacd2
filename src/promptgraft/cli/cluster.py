"""`promptgraft cluster`: prompts in groups of like ones."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from promptgraft.cli import completion, terminal
from promptgraft.cli.options import Json, LibraryPath

EPILOG = """\b
Example:
  promptgraft cluster 'glue/*@mini/t5-s' --by cosine --picture clusters.png
"""


def command(
    patterns: Annotated[
        list[str],
        typer.Argument(
            metavar="PROMPTS",
            help="Names, patterns such as 'glue/*'.",
            autocompletion=completion.prompts,
        ),
    ],
    by: Annotated[
        str,
        typer.Option(
            help="normalised (PTG's Eq. 1 on vectors of length one), euclidean (as published, in "
            "which norms count), cosine or tokens."
        ),
    ] = "normalised",
    count: Annotated[
        int | None,
        typer.Option("--count", "-n", min=1, help="Clusters. [default: by the eigengap]"),
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The similarities, as PNG or SVG.")
    ] = None,
    library: LibraryPath = None,
    as_json: Json = False,
) -> None:
    """Group prompts of one model: spectral clustering with the min-max cut, as PTG does."""
    from promptgraft.api import understanding
    from promptgraft.library import Library

    with terminal.waiting("comparing"):
        found = understanding.clusters(patterns, by, count, Library(library))
    if picture is not None:
        from promptgraft.analysis import heatmaps

        title = f"similarity: {by}"
        figure, _ = heatmaps.clustered(found.similarity, found.names, found.groups, title)
        heatmaps.save(figure, picture)
    groups: dict[int, list[str]] = {}
    for name, group in zip(found.names, found.groups, strict=True):
        groups.setdefault(group, []).append(name)
    if as_json:
        terminal.print_json({"clusters": list(groups.values())})
        return
    for group, names in groups.items():
        print(f"{group + 1}  {' '.join(names)}")
