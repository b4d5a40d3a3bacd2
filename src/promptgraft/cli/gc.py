"""`promptgraft gc`: empty the trash."""

from promptgraft.cli.options import LibraryPath

EPILOG = """\b
Example:
$ promptgraft gc
"""


def command(library: LibraryPath = None) -> None:
    """Delete for good what `promptgraft rm` moved to the trash."""
    from promptgraft.library import Library

    print(f"{Library(library).empty_trash()} prompts deleted")
