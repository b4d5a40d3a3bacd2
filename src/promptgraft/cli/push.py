"""`promptgraft push`: prompts to the Hugging Face hub."""

from __future__ import annotations

from typing import Annotated

import typer

from promptgraft.cli import terminal
from promptgraft.cli.options import Json, LibraryPath

EPILOG = """\b
Example:
$ hf auth login
$ promptgraft push ~/.promptgraft/library me/my-prompts
$ promptgraft push sst2@google-t5/t5-small me/my-prompts
$ promptgraft push 'glue/*' me/glue-prompts --public

\b
The repository is a library itself, with a model card: git clone works as well as pull.
"""


def command(
    what: Annotated[
        str,
        typer.Argument(
            metavar="LIBRARY_OR_PROMPT",
            help="A library's folder, a prompt's name or folder, or a glob of names.",
        ),
    ],
    repo: Annotated[str, typer.Argument(metavar="REPO", help="On the hub: user/name.")],
    public: Annotated[
        bool, typer.Option("--public", help="If the repository is new: everyone may read it.")
    ] = False,
    library: LibraryPath = None,
    as_json: Json = False,
) -> None:
    """Put a library or single prompts on the Hugging Face hub.

    Other prompts that the repository holds stay.
    """
    from promptgraft.api import sharing
    from promptgraft.library import Library

    with terminal.waiting(f"pushing {what}"):
        pushed = sharing.push(what, repo, public=public, library=Library(library))
    if as_json:
        terminal.print_json(pushed._asdict())
        return
    if pushed.is_new:
        terminal.note(f"{repo} is new, {'public' if public else 'private'}.")
    print("\n".join(pushed.names))
    print(pushed.url)
