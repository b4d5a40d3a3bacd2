"""`promptgraft rename`: give a prompt another name."""

from typing import Annotated

import typer

from promptgraft.cli import completion
from promptgraft.cli.options import LibraryPath

EPILOG = """\b
Example:
$ promptgraft rename reviews@mini/bert-s films@mini/bert-s
"""


def command(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="The full name it has.", autocompletion=completion.prompts
        ),
    ],
    new: Annotated[str, typer.Argument(metavar="NEW", help="TASK@MODEL or TASK@MODEL:TAG.")],
    library: LibraryPath = None,
) -> None:
    """Give a prompt of the library another name of the same model. Its card stays as it is."""
    from promptgraft.library import Library

    print(Library(library).rename(name, new))
