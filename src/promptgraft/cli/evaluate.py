"""`promptgraft eval`: score a prompt on a task."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from promptgraft.cli import completion, terminal
from promptgraft.cli.options import Json, LibraryPath, Model

EPILOG = """\b
Example:
$ promptgraft eval sst2@mini/bert-s
accuracy 71.0 (68.9 to 73.1)  on 1821 test rows
$ promptgraft eval --model mini/bert-s --task sst2
accuracy 68.9 (66.8 to 71.0)  on 1821 test rows
"""


def command(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PROMPT|KEY=VALUE",
            help="A name in the library or a folder; none for the bare model. Then settings of "
            "the data, such as data.text=review data.label=stars, and of how texts are written, "
            "such as decoding.num_beams=5.",
            autocompletion=completion.prompts,
        ),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(
            "--task",
            "-t",
            help="Task, file or folder. [default: its own]",
            autocompletion=completion.tasks,
        ),
    ] = None,
    model: Model = None,
    template: Annotated[
        str | None, typer.Option(help="In place of the prompt's or the task's own.")
    ] = None,
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    rows: Annotated[int | None, typer.Option(help="Score a sample of so many rows.")] = None,
    outputs: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the answers there, one to a line.")
    ] = None,
    library: LibraryPath = None,
    as_json: Json = False,
) -> None:
    """Score a prompt, with 95 % intervals.

    Without a prompt the bare model is scored: name --model and --task.
    """
    words = words or []
    names = [word for word in words if "=" not in word]
    if len(names) > 1:
        raise typer.BadParameter(f"one prompt at a time, not {' and '.join(names)}.")
    if not names and (model is None or task is None):
        raise typer.BadParameter("name a prompt; or --model and --task to score the bare model.")

    from promptgraft import api, files
    from promptgraft.library import Library
    from promptgraft.training import parse_settings

    settings = parse_settings([word for word in words if "=" in word])
    data, decoding = settings.pop("data", {}), settings.pop("decoding", {})
    if settings:
        raise typer.BadParameter(
            f"only data.* and decoding.* may be set here, not {', '.join(settings)}."
        )
    with terminal.waiting("scoring"):
        evaluation = api.evaluate(
            names[0] if names else None,
            task,
            model=model,
            template=template,
            split=split,
            rows=rows,
            library=Library(library),
            data=data,
            **decoding,
        )
    if outputs:
        with files.whole_file(outputs) as temporary:
            lines = (" ".join(text.splitlines()) for text in evaluation.predictions)
            temporary.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    count = len(evaluation.predictions)
    if as_json:
        found = {"scores": evaluation.scores, "intervals": evaluation.intervals, "rows": count}
        found |= {"groups": evaluation.groups} if evaluation.groups else {}
        found |= {"lacking": evaluation.lacking} if evaluation.lacking else {}
        terminal.print_json({"prompt": names[0] if names else None, "split": split, **found})
        return
    terminal.print_scores(evaluation, f"{count} {split} rows")
