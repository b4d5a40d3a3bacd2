"""`promptgraft verify`: read prompts and check their hashes."""

import sys
from typing import Annotated

import typer

from promptgraft.cli import terminal
from promptgraft.cli.options import Json, LibraryPath, opened

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
    """Check prompts: the hashes of their cards, tensors and modules.

    README.md is not checked: it is made from the card, never read back, and free to be edited.

    Damaged prompts are moved to the folder .broken of the library, and nothing is deleted. The exit
    code is 3 if anything is wrong.
    """
    store = opened(library)
    with terminal.waiting(f"reading {store.path}"):
        sound, broken = store.verify(pattern)
    if as_json:
        terminal.print_json({"sound": sound, "broken": [one._asdict() for one in broken]})
    else:
        for path, reason, is_moved in broken:
            terminal.note(f"broken: {reason}\n  {'now' if is_moved else 'left'} in {path}")
        print(f"{sound} prompts are sound, {len(broken)} are not")
    if broken:
        sys.exit(DAMAGED)
