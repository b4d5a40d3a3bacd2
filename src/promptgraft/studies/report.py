"""What a study writes: a page with its tables beside the paper's, each table as CSV, pictures."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from promptgraft import files
from promptgraft.modules.registry import Registry
from promptgraft.studies import ptfer, ptfer_figures
from promptgraft.studies.moves import Moves
from promptgraft.studies.tables import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Study:
    """A study by name: what it is about, the parts it has, and how to run them.

    run  (models, folder, seeds, relations, parts, say) -> the page it wrote
    """

    about: str
    parts: Sequence[str]
    run: Callable[..., Path]


STUDIES: Registry[Study] = Registry("study")

TABLES: Mapping[str, Callable[[Moves], Table]] = {
    "1": ptfer.table_1,
    "2": ptfer.table_2,
    "3": ptfer.table_3,
    "5": ptfer.table_5,
    "claims": lambda moves: ptfer.table_of(ptfer.claims(moves)),
}
FIGURES: "Mapping[str, Callable[[Moves], Figure]]" = {
    "figure-2": ptfer_figures.figure_2,
    "figure-3": ptfer_figures.figure_3,
    "figure-4": ptfer_figures.figure_4,
}


def run_ptfer(
    models: Sequence[str],
    folder: Path,
    seeds: int,
    relations: Sequence[str],
    parts: Sequence[str],
    say: Callable[[str], None],
) -> Path:
    """Measure the parts that are asked for and write README.md, CSV files and pictures."""
    moves = Moves(models, folder, seeds, relations, say)
    paper = {table.name: table for table in ptfer.published()}
    written = [
        f"# Zero-shot transfer of prompts between {', '.join(models)}",
        f"{len(relations)} relations of LAMA, {seeds} seeds; accuracy in per cent, mean over "
        "relations, with 95 % intervals (bootstrap over relations).",
    ]
    for part in parts:
        if part in TABLES:
            table = TABLES[part](moves)
            table.save(folder)
            written.append(str(table))
            if f"paper-{part}" in paper:
                written.append(str(paper[f"paper-{part}"]))
        else:
            picture = folder / f"{part}.png"
            with files.whole_file(picture) as temporary:
                FIGURES[part](moves).savefig(temporary, format="png", dpi=144)
            written.append(f"![{part}]({picture.name})")
        page = folder / "README.md"
        with files.whole_file(page) as temporary:
            temporary.write_text("\n\n".join(written) + "\n")
    return page


STUDIES.register("ptfer")(
    Study(
        "Zero-Shot Continuous Prompt Transfer (Wu, Wu, Mou 2024)",
        [*TABLES, *FIGURES],
        run_ptfer,
    )
)
