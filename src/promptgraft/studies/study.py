"""What a study is, and the one runner: a page of tables and pictures, tables as CSV."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from promptgraft import files
from promptgraft.analysis import pictures
from promptgraft.studies.setting import Setting
from promptgraft.studies.tables import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Measurer = TypeVar("Measurer")


@dataclass(frozen=True)
class Study(Generic[Measurer]):
    """A paper, or a question.

    begin  what measures, made when the study is run; every part is given it
    how    how it was measured, for the page
    parts  tables or a picture by name, measured when asked for
    """

    about: str
    begin: Callable[[Setting], Measurer]
    how: Callable[[Setting], str]
    parts: Mapping[str, Callable[[Measurer], Sequence[Table] | Figure]]


def run(study: Study[Measurer], setting: Setting, parts: Sequence[str]) -> Path:
    """Measure some parts; write README.md, CSV files and pictures. Returns the page."""
    measurer = study.begin(setting)
    written = [f"# {study.about}", study.how(setting)]
    page = setting.folder / "README.md"
    for part in parts:
        found = study.parts[part](measurer)
        if isinstance(found, Sequence):
            for table in found:
                table.save(setting.folder)
                written.append(str(table))
        else:
            pictures.save(found, setting.folder / f"{part}.png")
            written.append(f"![{part}]({part}.png)")
        with files.whole_file(page) as temporary:
            temporary.write_text("\n\n".join(written) + "\n")
    return page
