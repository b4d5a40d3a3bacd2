"""`promptgraft pack`: copy prompts in fewer bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from promptgraft.cli import terminal
from promptgraft.cli.options import Json, LibraryPath, opened

EPILOG = """\b
Example:
$ promptgraft pack 'glue/*' --precision int8 --to ./small
"""


def command(
    pattern: Annotated[
        str, typer.Argument(metavar="GLOB", help="Names, such as 'sst2@*' or '*@mini/*'.")
    ],
    precision: Annotated[
        Literal["float16", "bfloat16", "int8"], typer.Option(help="What numbers become.")
    ],
    to: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Another library; without it only the errors show."),
    ] = None,
    library: LibraryPath = None,
    as_json: Json = False,
) -> None:
    """Copy prompts into another library in fewer bytes, and show what rounding does to them.

    Those that were packed there before stay as they are; other prompts of their names are never
    replaced.

    The error is the norm of the difference over the norm of the prompt.
    """
    from promptgraft.api import curating
    from promptgraft.library import Library

    with terminal.waiting(f"rounding {pattern}"):
        packed = curating.pack(
            pattern, precision, Library(to) if to else None, library=opened(library)
        )
    if as_json:
        terminal.print_json([one._asdict() for one in packed])
        return
    if not packed:
        terminal.note(f"No prompts like {pattern}.")
        return
    rows = [(p.name, f"{p.relative:.2e}", f"{p.largest:.2e}", str(p.bytes)) for p in packed]
    terminal.print_table(("NAME", "ERROR", "LARGEST", "BYTES"), rows)
    worst = max(one.relative for one in packed)
    total = sum(one.bytes for one in packed)
    print(f"{len(packed)} prompts, {total:,} bytes, largest error {worst:.2e}")
