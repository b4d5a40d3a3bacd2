"""Options and arguments that several commands have."""

from pathlib import Path
from typing import Annotated

import typer

from promptgraft.cli import completion

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
