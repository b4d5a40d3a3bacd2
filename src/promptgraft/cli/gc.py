"""`promptgraft gc`: empty the trash."""

from promptgraft.cli.options import LibraryPath, opened

EPILOG = """\b
Example:
$ promptgraft gc
"""


def command(library: LibraryPath = None) -> None:
    """Delete for good what `promptgraft rm` moved to the trash."""
    print(f"{opened(library).empty_trash()} prompts deleted")
