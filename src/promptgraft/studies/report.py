"""The studies by name, and their one runner: a page of tables and pictures, tables as CSV."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from promptgraft import files
from promptgraft.modules.registry import Registry
from promptgraft.studies import grafting, ptfer, ptfer_figures
from promptgraft.studies.moves import Moves
from promptgraft.studies.tables import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    Part = Callable[[Moves], Sequence[Table] | Figure]


@dataclass(frozen=True)
class Study:
    """What it is about, and its parts by name: tables or a picture, measured when asked for."""

    about: str
    parts: Mapping[str, Part]


STUDIES: Registry[Study] = Registry("study")


def run(
    study: Study,
    models: Sequence[str],
    folder: Path,
    seeds: int,
    relations: Sequence[str],
    parts: Sequence[str],
    say: Callable[[str], None],
) -> Path:
    """Measure some parts; write README.md, CSV files and pictures. Returns the page.

    say  is told what is being measured
    """
    moves = Moves(models, folder, seeds, relations, say)
    written = [
        f"# {study.about}",
        f"Between {', '.join(models)}; {len(relations)} relations of LAMA, {seeds} seeds. Accuracy "
        "in per cent, mean over relations, with 95 % intervals (bootstrap over relations).",
    ]
    page = folder / "README.md"
    for part in parts:
        found = study.parts[part](moves)
        if isinstance(found, Sequence):
            for table in found:
                table.save(folder)
                written.append(str(table))
        else:
            with files.whole_file(folder / f"{part}.png") as temporary:
                found.savefig(temporary, format="png", dpi=144)
            written.append(f"![{part}]({part}.png)")
        with files.whole_file(page) as temporary:
            temporary.write_text("\n\n".join(written) + "\n")
    return page


def _beside_the_paper(table: Callable[[Moves], Table], name: str) -> Part:
    published = {one.name: one for one in ptfer.published()}
    return lambda moves: [table(moves), published[name]]


STUDIES.items["ptfer"] = Study(
    "Zero-Shot Continuous Prompt Transfer (Wu, Wu, Mou 2024)",
    {
        "1": _beside_the_paper(ptfer.table_1, "paper-1"),
        "2": _beside_the_paper(ptfer.table_2, "paper-2"),
        "3": _beside_the_paper(ptfer.table_3, "paper-3"),
        "5": _beside_the_paper(ptfer.table_5, "paper-5"),
        "claims": lambda moves: [ptfer.table_of(ptfer.claims(moves))],
        "figure-2": ptfer_figures.figure_2,
        "figure-3": ptfer_figures.figure_3,
        "figure-4": ptfer_figures.figure_4,
    },
)
STUDIES.items["grafting"] = Study(
    "Which way of moving prompts carries best",
    {
        split: lambda moves, split=split: [grafting.table(moves, split)]  # type: ignore[misc]
        for split in ("validation", "test")
    },
)
