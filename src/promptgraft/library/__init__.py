"""The prompt library: prompts by name on disk, found by name, card and likeness."""

from promptgraft.library.entries import Broken, Entry, Likeness, Listing
from promptgraft.library.store import Library, default_path

__all__ = ["Broken", "Entry", "Library", "Likeness", "Listing", "default_path"]
