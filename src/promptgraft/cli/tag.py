"""`promptgraft tag`: keep a copy of a prompt under a tag."""

from typing import Annotated

import typer

from promptgraft.cli import completion
from promptgraft.cli.options import LibraryPath

EPILOG = """\b
Example:
$ promptgraft tag sst2@mini/bert-s best
"""


def command(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="A name in the library.", autocompletion=completion.prompts
        ),
    ],
    tag: Annotated[str, typer.Argument(help="What stands after the colon: TASK@MODEL:TAG.")],
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace a prompt of the same name.")
    ] = False,
    library: LibraryPath = None,
) -> None:
    """Keep a copy of a prompt as TASK@MODEL:TAG, which later runs do not replace."""
    from promptgraft.library import Library

    print(Library(library).tag(name, tag, replace))
