"""Tables of a study: for people as Markdown, for programs as CSV."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from promptgraft import files


@dataclass(frozen=True)
class Table:
    """A title, heads, and rows of texts."""

    name: str
    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]

    def __str__(self) -> str:
        """Markdown that can be read as it is."""
        widths = [max(map(len, column)) for column in zip(self.heads, *self.rows, strict=True)]
        lines = [self.heads, ["-" * width for width in widths], *self.rows]
        body = "\n".join(
            "| " + " | ".join(cell.ljust(n) for cell, n in zip(line, widths, strict=True)) + " |"
            for line in lines
        )
        return f"### {self.title}\n\n{body}"

    def save(self, folder: Path) -> Path:
        """Write it as CSV; returns the file."""
        path = folder / f"{self.name}.csv"
        with files.whole_file(path) as temporary, temporary.open("w", newline="") as stream:
            csv.writer(stream).writerows([self.heads, *self.rows])
        return path


def of_figures(name: str, title: str, figures: Mapping[str, Mapping[str, float]]) -> Table:
    """Published figures by method and column; a column that a method lacks stays empty."""
    columns = list(dict.fromkeys(column for own in figures.values() for column in own))
    rows = [
        [method, *(f"{own[c]:g}" if c in own else "" for c in columns)]
        for method, own in figures.items()
    ]
    return Table(name, title, ["method", *columns], rows)
