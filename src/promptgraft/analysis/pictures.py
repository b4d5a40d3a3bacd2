"""Figures as files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from promptgraft import files
from promptgraft.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def save(figure: Figure, file: Path) -> None:
    """Write a picture, PNG or SVG by the file's ending. Raises ConfigError for another."""
    if file.suffix not in (".png", ".svg"):
        raise ConfigError(f"A picture is written as .png or .svg, not {file.name}.")
    with files.whole_file(file) as temporary:
        figure.savefig(temporary, format=file.suffix[1:], dpi=144)
