"""`promptgraft rm`: move prompts to the trash."""

import shlex
from typing import Annotated

import typer

from promptgraft.cli import completion, terminal
from promptgraft.cli.options import LibraryPath

EPILOG = """\b
Example:
$ promptgraft rm sst2@mini/bert-s:old
"""


def command(
    names: Annotated[
        list[str],
        typer.Argument(metavar="NAME...", help="Full names.", autocompletion=completion.prompts),
    ],
    library: LibraryPath = None,
) -> None:
    """Move prompts to the library's trash; `promptgraft gc` deletes what is there.

    To have one back, move its folder from the trash into the library's folder.
    """
    from promptgraft.library import Library

    store = Library(library)
    for name in names:
        where = store.remove(name)
        back = shlex.join(["mv", str(where), str(store.path)])
        terminal.note(f"{name} is in the trash. To have it back: {back}")
