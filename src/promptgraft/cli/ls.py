"""`promptgraft ls`: the prompts of the library."""

from typing import Annotated

import typer

from promptgraft.cli import terminal
from promptgraft.cli.options import Json, LibraryPath

EPILOG = """\b
Example:
$ promptgraft ls
"""


def command(
    pattern: Annotated[
        str, typer.Argument(metavar="GLOB", help="Names, such as 'sst2@*' or '*@mini/*'.")
    ] = "*",
    library: LibraryPath = None,
    as_json: Json = False,
) -> None:
    """List the prompts of the library."""
    from promptgraft.library import Library

    store = Library(library)
    entries = store.list(pattern)
    for broken in entries.broken:
        terminal.note(f"broken: {broken.reason}")
    if as_json:
        terminal.print_json(
            [
                {"name": entry.name, "path": entry.path, "card": entry.card.model_dump(mode="json")}
                for entry in entries
            ]
        )
        return
    if not entries:
        terminal.note(f"No prompts{'' if pattern == '*' else f' like {pattern}'} in {store.path}.")
        return
    rows = []
    for entry in entries:
        card = entry.card
        tests = [
            f"{key.removeprefix('test.')} {value:.1f}"
            for key, value in card.metrics.items()
            if key.startswith("test.")
        ]
        made = (card.created or "").replace("T", " ").removesuffix("Z")[:16]
        rows.append((entry.name, card.kind, str(card.length), ", ".join(tests[:2]), made))
    terminal.print_table(("NAME", "KIND", "LENGTH", "TEST", "CREATED (UTC)"), rows)
