"""Which file holds which split."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from promptgraft.errors import DataError
from promptgraft.tasks.readers import FORMATS, Source, format_of, read, stem

NAMES = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev", "development"),
    "test": ("test",),
}


def file_source(path: Path) -> Source:
    """The rows of a file, to be read later; DataError now if there is no such file."""
    read(path)
    return partial(read, path)


def folder_sources(folder: Path) -> dict[str, Source]:
    """Split -> rows, for the files of a folder named train, validation (dev, val, valid) and test.

    Raises DataError if there is none, or two for one split.
    """
    sources: dict[str, Source] = {}
    for split, names in NAMES.items():
        files = [
            file
            for file in sorted(folder.iterdir())
            if format_of(file) and stem(file).lower() in names
        ]
        if len(files) > 1:
            raise DataError(
                f"{folder} has {len(files)} files for the {split} split: "
                f"{', '.join(file.name for file in files)}. Name one with {split}=<file>."
            )
        if files:
            sources[split] = partial(read, files[0])
    if not sources:
        raise DataError(
            f"{folder} has no file named train, validation or test "
            f"(with {', '.join(f'.{ending}' for ending in FORMATS)})."
        )
    return sources
