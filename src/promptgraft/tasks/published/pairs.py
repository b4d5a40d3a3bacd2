"""Sets that come as two text files of equal length, one with inputs and one with outputs."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import zip_longest
from pathlib import Path

from promptgraft.errors import DataError
from promptgraft.tasks.readers import Placed, lines

ENDINGS = {  # of the inputs' file -> of the outputs' file
    "src": "tgt",
    "source": "target",
    "wp_source": "wp_target",
    "article": "title",
    "pre": "post",
}


def names(stems: Mapping[str, tuple[str, ...]], *patterns: str) -> dict[str, tuple[str, ...]]:
    """Split -> patterns: every pattern with each of the split's stems in place of {}."""
    return {
        split: tuple(pattern.format(stem) for pattern in patterns for stem in found)
        for split, found in stems.items()
    }


STEMS = {"train": ("train",), "validation": ("val", "valid", "dev"), "test": ("test",)}


def is_pair(file: Path) -> bool:
    """Whether the file holds inputs whose outputs are in a file beside it."""
    return _outputs(file) is not None


def pairs(file: Path) -> Placed:
    """Records with `source` and `target`, line by line.

    Raises DataError if there is no second file or it has another number of lines.
    """
    other = _outputs(file)
    if other is None or not other.is_file():
        raise DataError(f"{file} needs the file of its outputs beside it: {other or '*.target'}.")
    both = zip_longest(lines(file), lines(other))
    for number, (source, target) in enumerate(both, start=1):
        if source is None or target is None:
            short = file if source is None else other
            raise DataError(
                f"{short} ends before line {number}; {file} and {other} belong together."
            )
        yield f"{file}, line {number}", {"source": source.strip(), "target": target.strip()}


def _outputs(file: Path) -> Path | None:
    """train.source -> train.target, src-train.txt -> tgt-train.txt, ...

    The name's last part that is one of ENDINGS is replaced.
    """
    parts = file.name.replace("-", ".").split(".")
    for place in reversed(range(len(parts))):
        if parts[place] in ENDINGS:
            start = sum(len(part) + 1 for part in parts[:place])
            end = start + len(parts[place])
            return file.with_name(file.name[:start] + ENDINGS[parts[place]] + file.name[end:])
    return None
