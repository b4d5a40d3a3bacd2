"""`promptgraft cluster`: prompts in groups of like ones."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from promptgraft.cli import completion, terminal
from promptgraft.cli.options import Json, LibraryPath

EPILOG = """\b
Example:
  promptgraft cluster '*@mini/t5-s' --by cosine --picture clusters.png --values similarities.csv
"""


def command(
    patterns: Annotated[
        list[str],
        typer.Argument(
            metavar="PROMPTS",
            help="Names, patterns such as '*@mini/t5-s'.",
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
    values: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The similarities, as CSV.")
    ] = None,
    library: LibraryPath = None,
    as_json: Json = False,
) -> None:
    """Group prompts of one model: spectral clustering with the min-max cut, as PTG does."""
    import csv

    from promptgraft import files
    from promptgraft.api import understanding
    from promptgraft.library import Library

    with terminal.waiting("comparing"):
        found = understanding.clusters(patterns, by, count, Library(library))
    if picture is not None:
        from promptgraft.analysis import heatmaps, pictures

        title = f"similarity: {by}" + (", (1 + cos) / 2" if by in ("cosine", "tokens") else "")
        figure, _ = heatmaps.clustered(found.similarity, found.names, found.groups, title)
        pictures.save(figure, picture)
    if values is not None:
        with files.whole_file(values) as temporary, temporary.open("w", newline="") as stream:
            rows = zip(found.names, found.similarity.tolist(), strict=True)
            csv.writer(stream).writerows([["", *found.names], *([n, *row] for n, row in rows)])
    groups: dict[int, list[str]] = {}
    for name, group in zip(found.names, found.groups, strict=True):
        groups.setdefault(group, []).append(name)
    if as_json:
        terminal.print_json({"clusters": list(groups.values())})
        return
    for group, names in groups.items():
        print(f"{group + 1}  {' '.join(names)}")
