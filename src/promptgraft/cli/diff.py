"""`promptgraft diff`: what two prompts differ in."""

from __future__ import annotations

from typing import Annotated

import typer

from promptgraft.cli import completion, terminal
from promptgraft.cli.options import Json, LibraryPath

EPILOG = """\b
Example:
$ promptgraft diff sst2@mini/bert-s sst2@mini/bert-s:v2
"""


def command(
    one: Annotated[
        str,
        typer.Argument(
            metavar="PROMPT", help="A name, or a folder.", autocompletion=completion.prompts
        ),
    ],
    other: Annotated[
        str, typer.Argument(metavar="PROMPT", help="Another.", autocompletion=completion.prompts)
    ],
    library: LibraryPath = None,
    as_json: Json = False,
) -> None:
    """Show the card fields in which two prompts differ, and how far apart their numbers are."""
    from promptgraft import api
    from promptgraft.library import Library, difference

    store = Library(library)
    found = difference(api.resolve(one, store), api.resolve(other, store))
    if as_json:
        terminal.print_json(found._asdict())
        return
    if found.fields:
        terminal.print_table(("FIELD", one, other), found.fields)
    if found.distance == 0:
        print("The same numbers.")
    elif found.cosine is not None:
        apart = "" if found.distance is None else f", distance {found.distance:.3g} of its norm"
        print(f"Cosine of the means {found.cosine:.4f}{apart}.")
    else:
        print("Their numbers cannot be compared: they are of different sizes.")
