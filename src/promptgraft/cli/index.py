"""`promptgraft index`: make the library's index again."""

from __future__ import annotations

from promptgraft.cli import terminal
from promptgraft.cli.options import LibraryPath, opened

EPILOG = """\b
Example:
$ promptgraft index
"""


def command(library: LibraryPath = None) -> None:
    """Read every prompt's card and make the library's index again.

    Prompts that were copied in or deleted are noticed without it; files that were changed inside
    a prompt's folder by other programs are not.
    """

    store = opened(library)
    with terminal.waiting(f"reading {store.path}"):
        store.rebuild()
    print(f"{len(store)} prompts in {store.path}")
