"""The prompt library: prompts by name on disk, found by name, card and likeness."""

from promptgraft.library.difference import Difference, difference
from promptgraft.library.entries import Broken, Entry, Likeness, Listing
from promptgraft.library.lineage import Origin, children, origin
from promptgraft.library.store import Library, default_path

__all__ = [
    "Broken",
    "Difference",
    "Entry",
    "Library",
    "Likeness",
    "Listing",
    "Origin",
    "children",
    "default_path",
    "difference",
    "origin",
]
