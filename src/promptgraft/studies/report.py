"""The studies by name, and their one runner: a page of tables and pictures, tables as CSV."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from promptgraft import files
from promptgraft.modules.registry import Registry
from promptgraft.studies import (
    claims,
    grafting,
    prefix_figures,
    prefix_tuning,
    ptfer,
    ptfer_figures,
)
from promptgraft.studies.moves import Moves
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


STUDIES: Registry[Study] = Registry("study")  # type: ignore[type-arg]


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
            with files.whole_file(setting.folder / f"{part}.png") as temporary:
                found.savefig(temporary, format="png", dpi=144)
            written.append(f"![{part}]({part}.png)")
        with files.whole_file(page) as temporary:
            temporary.write_text("\n\n".join(written) + "\n")
    return page


def _moves(setting: Setting) -> Moves:
    return Moves(setting.models, setting.folder, setting.seeds, setting.relations, setting.say)


def _of_facts(setting: Setting) -> str:
    return (
        f"Between {', '.join(setting.models)}; {len(setting.relations)} relations of LAMA, "
        f"{setting.seeds} seeds. Accuracy in per cent, mean over relations, with 95 % intervals "
        "(bootstrap over relations)."
    )


def _of_texts(setting: Setting) -> str:
    scale = "The paper's steps and rows." if setting.full else (
        "Miniature: 200 steps, 100 test rows, two samples of each low-data size."
    )  # fmt: skip
    return (
        f"On {', '.join(setting.models)}; {setting.seeds} seeds. {scale} Learning rates were "
        "chosen on validation data, scores are of test rows, with 95 % intervals (bootstrap over "
        "seeds, in low data over samples)."
        + "".join(f" {name} needs {need}." for name, need in prefix_tuning.lacking().items())
    )


def _beside_the_paper(
    table: Callable[[Moves], Table], name: str
) -> Callable[[Moves], Sequence[Table]]:
    published = {one.name: one for one in ptfer.published()}
    return lambda moves: [table(moves), published[name]]


STUDIES.items["ptfer"] = Study(
    "Zero-Shot Continuous Prompt Transfer (Wu, Wu, Mou 2024)",
    _moves,
    _of_facts,
    {
        "1": _beside_the_paper(ptfer.table_1, "paper-1"),
        "2": _beside_the_paper(ptfer.table_2, "paper-2"),
        "3": _beside_the_paper(ptfer.table_3, "paper-3"),
        "5": _beside_the_paper(ptfer.table_5, "paper-5"),
        "claims": lambda moves: [claims.table_of(ptfer.claims(moves))],
        "figure-2": ptfer_figures.figure_2,
        "figure-3": ptfer_figures.figure_3,
        "figure-4": ptfer_figures.figure_4,
    },
)
STUDIES.items["grafting"] = Study(
    "Which way of moving prompts carries best",
    _moves,
    _of_facts,
    {
        split: lambda moves, split=split: [grafting.table(moves, split)]  # type: ignore[misc]
        for split in ("validation", "test")
    },
)
STUDIES.items["prefix-tuning"] = Study(
    "Prefix-Tuning (Li, Liang 2021)",
    prefix_tuning.PrefixTuning,
    _of_texts,
    {
        "1": prefix_tuning.table_1,
        "2": prefix_tuning.table_2,
        "3": prefix_tuning.table_3,
        "4": prefix_tuning.table_4,
        "claims": lambda study: [claims.table_of(prefix_tuning.claims(study))],
        "figure-3": prefix_figures.figure_3,
        "figure-3-summaries": prefix_figures.figure_3_summaries,
        "figure-4": prefix_figures.figure_4,
        "figure-5": prefix_figures.figure_5,
        "samples": prefix_tuning.samples,
    },
)
