"""`promptgraft transfer`: move a prompt to another model, without training."""

from __future__ import annotations

from typing import Annotated

import typer

from promptgraft.cli import terminal
from promptgraft.cli.options import Json, LibraryPath, PromptName

EPILOG = """\b
Example:
$ promptgraft transfer sst2@mini/bert-s --to mini/bert-m
$ promptgraft eval sst2@mini/bert-m
"""


def command(
    prompt: PromptName,
    to: Annotated[
        str, typer.Option(metavar="MODEL", help="A mini, a local folder or a model of the hub.")
    ],
    tag: Annotated[str | None, typer.Option(help="Keep it as TASK@MODEL:TAG.")] = None,
    library: LibraryPath = None,
    as_json: Json = False,
) -> None:
    """Move a soft prompt to another model.

    Without training; the moved prompt is kept in the library.
    """
    from promptgraft import api, tasks
    from promptgraft.library import Library

    store = Library(library)
    with terminal.waiting(f"moving {prompt} to {to}"):
        moved, name = api.transfer(prompt, to, tag=tag, library=store)
    if as_json:
        terminal.print_json({"name": name, "card": moved.card.model_dump(mode="json")})
        return
    facts = moved.card.hyperparameters
    print(f"{name}: {len(moved)} virtual tokens, by {facts['anchors']} anchor words")
    at_hand = moved.card.task is not None and tasks.known(moved.card.task)
    print(f"Next: promptgraft eval {name}{'' if at_hand else ' --task FILE'}")
