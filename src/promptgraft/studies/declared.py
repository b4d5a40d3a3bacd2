"""The studies by name: a paper's tables and figures, or a question of our own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from promptgraft.modules.registry import Registry
from promptgraft.studies import (
    claims,
    classification,
    crosspt,
    crosspt_figures,
    few_examples,
    grafting,
    prefix_figures,
    prefix_tuning,
    ptfer,
    ptfer_figures,
    ptg,
)
from promptgraft.studies.moves import Moves
from promptgraft.studies.setting import Setting
from promptgraft.studies.study import Study
from promptgraft.studies.tables import Table

STUDIES: Registry[Study[Any]] = Registry("study")


def _moves(setting: Setting) -> Moves:
    return Moves(setting.models, setting.folder, setting.seeds, setting.relations, setting.say)


def _of_facts(setting: Setting) -> str:
    return (
        f"Between {', '.join(setting.models)}; {len(setting.relations)} relations of LAMA, "
        f"{setting.seeds} seeds. Accuracy in per cent, mean over relations, with 95 % intervals "
        "(bootstrap over relations)."
    )


def _of_tasks(setting: Setting) -> str:
    scale = "The paper's" if setting.full else "Miniature"
    return (
        f"On {', '.join(setting.models)}; {setting.seeds} seeds. {scale} steps, rows and samples "
        "(the constants at the top of the study's file). Test scores, with 95 % intervals: "
        "bootstrap over tasks where there are several, else over seeds or samples of rows."
    )


def _of_texts(setting: Setting) -> str:
    lacking = prefix_tuning.lacking().items()
    needs = "".join(f" {name} needs {need}." for name, need in lacking)
    return f"{_of_tasks(setting)}{needs}"


def _of_pools(setting: Setting) -> str:
    return _of_tasks(setting) if setting.full else f"{_of_tasks(setting)} {ptg.INSTEAD}"


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
        "6": _beside_the_paper(classification.table_6, "paper-6"),
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
        **{
            part: lambda moves, table=table, split=split: [table(moves, split)]  # type: ignore[misc]
            for split in ("validation", "test")
            for part, table in (
                (split, grafting.table),
                (f"pairs-{split}", grafting.by_pair),
                (f"trainings-{split}", grafting.by_training),
                (f"sources-{split}", grafting.by_sources),
                (f"shared-{split}", grafting.by_sharing),
                (f"taught-{split}", grafting.by_teaching),
                (f"trust-{split}", grafting.by_trust),
            )
        },
        "tasks": lambda moves: [grafting.by_task(moves)],
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
STUDIES.items["crosspt"] = Study(
    "CrossPT: Exploring Cross-Task Transferability (Pouramini and others)",
    crosspt.CrossPT,
    _of_tasks,
    {
        **{
            f"{group}-{few}": lambda study, group=group, few=few: crosspt.methods(study, group, few)  # type: ignore[misc]
            for group, few in (("glue", 16), ("glue", 32), ("others", 32))
        },
        "others": crosspt.others,
        "reliance": crosspt.reliance,
        "claims": lambda study: [claims.table_of(crosspt.claims(study))],
        "figure-2": crosspt_figures.figure_2,
        "figure-3": crosspt_figures.figure_3,
        "figure-4": crosspt_figures.figure_4,
        "figure-5": crosspt_figures.figure_5,
        "figure-6": crosspt_figures.figure_6,
        "figure-7": crosspt_figures.figure_7,
        "figure-8": crosspt_figures.figure_8,
        "figure-9": crosspt_figures.figure_9,
        "figure-10": crosspt_figures.figure_10,
        "figure-11": crosspt_figures.figure_11,
    },
)
STUDIES.items["ptg"] = Study(
    "Learning to Transfer Prompts for Text Generation (Li et al. 2022)",
    ptg.PTG,
    _of_pools,
    {
        "1": ptg.table_1,
        "2": ptg.table_2,
        "3": ptg.table_3,
        "4": ptg.table_4,
        "5": ptg.table_5,
        "figure-2": ptg.figure_2,
        "claims": lambda study: [claims.table_of(ptg.claims(study))],
    },
)
STUDIES.items["few-examples"] = Study(
    "What to tune with sixteen or thirty-two examples",
    few_examples.FewExamples,
    _of_tasks,
    {
        "rates": few_examples.rates,
        **{
            str(size): lambda study, size=size: few_examples.compared(study, size)  # type: ignore[misc]
            for size in few_examples.SIZES
        },
    },
)
