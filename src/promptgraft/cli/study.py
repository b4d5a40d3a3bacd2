"""`promptgraft study`: a paper's tables and figures, measured on the models one has."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from promptgraft.cli import completion, terminal

EPILOG = """\b
Example, at miniature scale (PROMPTGRAFT_DATA names a folder that holds lama/):
  promptgraft study ptfer -m mini/bert-s -m mini/bert-m -m mini/roberta-s
  promptgraft study prefix-tuning -m mini/gpt2-m -m mini/bart-s

\b
The paper's models, from the hub:
  promptgraft study ptfer -m bert-base-cased -m bert-large-cased -m roberta-base -m roberta-large
  promptgraft study prefix-tuning -m gpt2-medium -m facebook/bart-large --full
"""


def command(
    name: Annotated[
        str,
        typer.Argument(
            metavar="STUDY",
            help="ptfer, grafting, prefix-tuning, crosspt, ptg or few-examples.",
        ),
    ],
    models: Annotated[
        list[str],
        typer.Option(
            "--model",
            "-m",
            help="A model that takes part; several of them.",
            autocompletion=completion.models,
        ),
    ],
    part: Annotated[
        list[str] | None,
        typer.Option(help="A table or figure, such as 3 or claims. [default: all]"),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Prompts tuned of each kind.")] = 3,
    relation: Annotated[
        list[str] | None,
        typer.Option("--relation", help="A relation of LAMA, such as P19. [default: all 41]"),
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="The steps, rows and samples of the paper.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="[default: studies/STUDY]")
    ] = None,
) -> None:
    """Reproduce a paper's tables and figures.

    A study that was stopped goes on where it was. Started twice on one folder, such as once for
    each core, its processes share the runs of tasks; those of facts (ptfer, grafting) they do not.
    """
    from promptgraft.errors import ConfigError
    from promptgraft.studies import STUDIES, Setting, run
    from promptgraft.studies.relations import RELATIONS

    study = STUDIES[name]
    parts = part or list(study.parts)
    for one in parts:
        if one not in study.parts:
            raise ConfigError(f"{name} has no part {one!r}; it has {', '.join(study.parts)}.")
    folder = out or Path("studies") / name
    setting = Setting(models, folder, seeds, full, relation or RELATIONS, terminal.note)
    print(run(study, setting, parts))
