"""Options and arguments that several commands have."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from promptgraft.cli import completion

if TYPE_CHECKING:
    from promptgraft.library import Library

LOOPBACK = ("127.0.0.1", "::1", "localhost")  # hosts that only this machine reaches

LibraryPath = Annotated[
    Path | None,
    typer.Option(
        "--library",
        metavar="FOLDER",
        help="Where prompts are kept. [default: $PROMPTGRAFT_LIBRARY or ~/.promptgraft/library]",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
PromptName = Annotated[
    str,
    typer.Argument(
        metavar="PROMPT",
        help="A name in the library, or a folder.",
        autocompletion=completion.prompts,
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        help="A mini, a local folder or a model of the hub.",
        autocompletion=completion.models,
    ),
]
Ray = Annotated[
    str | None,
    typer.Option(
        "--ray", metavar="ADDRESS", help="A Ray cluster to run on; local starts one here."
    ),
]


def opened(given: Path | None) -> Library:
    """The library to look into; a PromptgraftError if one was named that is not there.

    The usual one may not be there yet: nothing was kept.
    """
    from promptgraft.errors import PromptgraftError
    from promptgraft.library import Library

    library = Library(given)
    named = "--library" if given else "PROMPTGRAFT_LIBRARY"
    if (given or os.environ.get(named)) and not library.path.exists():
        raise PromptgraftError(
            f"{named}: there is no {library.path}. A library is made with its first prompt."
        )
    return library
