"""`promptgraft pull`: prompts from the Hugging Face hub."""

from __future__ import annotations

from typing import Annotated

import typer

from promptgraft.cli import terminal
from promptgraft.cli.options import Json, LibraryPath

EPILOG = """\b
Example:
$ promptgraft pull me/my-prompts
$ promptgraft pull me/my-prompts --only 'sst2@*' --revision v1

\b
HF_TOKEN, or `hf auth login`, opens private repositories.
"""


def command(
    repo: Annotated[str, typer.Argument(metavar="REPO", help="On the hub: user/name.")],
    only: Annotated[str, typer.Option(metavar="GLOB", help="Names, such as 'sst2@*'.")] = "*",
    revision: Annotated[
        str | None, typer.Option(help="A branch, tag or commit. [default: the newest]")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace other prompts of the same names.")
    ] = False,
    library: LibraryPath = None,
    as_json: Json = False,
) -> None:
    """Take prompts from the Hugging Face hub into the library.

    Everything is fetched and checked before the first prompt comes in.
    """
    from promptgraft.api import sharing
    from promptgraft.library import Library

    with terminal.waiting(f"pulling {repo}"):
        pulled = sharing.pull(
            repo, only, revision=revision, replace=replace, library=Library(library)
        )
    if as_json:
        terminal.print_json(pulled._asdict())
        return
    for name in pulled.present:
        terminal.note(f"{name} is here already.")
    for name in pulled.added:
        print(name)
