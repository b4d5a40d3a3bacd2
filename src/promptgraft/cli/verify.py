"""`promptgraft verify`: read every file and check its hash."""

import sys
from typing import Annotated

import typer

from promptgraft.cli import terminal
from promptgraft.cli.options import Json, LibraryPath

EPILOG = """\b
Example:
$ promptgraft verify
"""
DAMAGED = 3


def command(
    pattern: Annotated[
        str, typer.Argument(metavar="GLOB", help="Names, such as 'sst2@*' or '*@mini/*'.")
    ] = "*",
    library: LibraryPath = None,
    as_json: Json = False,
) -> None:
    """Check the hash of every file of the prompts.

    Damaged ones are moved to the folder .broken of the library, and nothing is deleted. The exit
    code is 3 if anything is wrong.
    """
    from promptgraft.library import Library

    store = Library(library)
    with terminal.waiting(f"reading {store.path}"):
        sound, broken = store.verify(pattern)
    if as_json:
        terminal.print_json({"sound": sound, "broken": [one._asdict() for one in broken]})
    else:
        for path, reason in broken:
            terminal.note(f"broken: {reason}\n  now in {path}")
        print(f"{sound} prompts are sound, {len(broken)} are not")
    if broken:
        sys.exit(DAMAGED)
