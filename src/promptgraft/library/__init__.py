"""The prompt library: prompts by name in a folder on disk."""

from promptgraft.library.store import Broken, Entry, Library, Listing, default_path

__all__ = ["Broken", "Entry", "Library", "Listing", "default_path"]
