"""Options and arguments that several commands have."""

from pathlib import Path
from typing import Annotated

import typer

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
    str, typer.Argument(metavar="PROMPT", help="A name in the library, or a folder.")
]
Model = Annotated[
    str | None,
    typer.Option("--model", "-m", help="A mini, a local folder or a model of the hub."),
]
Ray = Annotated[
    str | None,
    typer.Option(
        "--ray", metavar="ADDRESS", help="On the Ray cluster there; local: on one of this machine."
    ),
]
