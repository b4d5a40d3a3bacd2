"""`promptgraft score`: score a file of outputs."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from promptgraft.cli import completion, terminal
from promptgraft.cli.options import Json

EPILOG = """\b
Example:
$ promptgraft eval e2e@mini/gpt2-m decoding.num_beams=5 --outputs outputs.txt
bleu 37.8 (36.0 to 39.9)  rougeL 48.4 (47.4 to 49.4)  e2e_bleu 38.4 (36.6 to 40.6)  nist 4.74
meteor 25.6  coco_rougeL 49.1 (48.1 to 50.1)  cider 0.79 (0.73 to 0.84)  on 630 test rows
$ promptgraft score outputs.txt --task e2e
e2e_bleu 38.4 (36.6 to 40.6)  nist 4.74  meteor 25.6  coco_rougeL 49.1 (48.1 to 50.1)
cider 0.79 (0.73 to 0.84)  on 630 test rows
"""


def command(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Outputs, one to a line; an empty line is one.")
    ],
    task: Annotated[
        str,
        typer.Option("--task", "-t", help="Task, file or folder.", autocompletion=completion.tasks),
    ],
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY=VALUE", help="Settings of the data, as for tune."),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(help="Count this one; again for more. [default: what the field reports]"),
    ] = None,
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    as_json: Json = False,
) -> None:
    """Score outputs against a task's references, with 95 % intervals.

    Several references, and groups of rows such as WebNLG's seen and unseen, are those of the task.
    """
    from promptgraft import api
    from promptgraft.training import parse_settings

    settings = parse_settings(words or [])
    data = settings.pop("data", {})
    if settings:
        raise typer.BadParameter(f"only data.* may be set here, not {', '.join(settings)}.")
    outputs = file.read_text("utf-8").removesuffix("\n").split("\n")
    with terminal.waiting("scoring"):
        found = api.score(task, outputs, split=split, names=metric or None, data=data)
    if as_json:
        terminal.print_json({"split": split, **asdict(found), "rows": len(outputs)})
        return
    terminal.print_scores(found, f"{len(outputs)} {split} rows")
