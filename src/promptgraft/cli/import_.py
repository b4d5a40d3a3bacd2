"""`promptgraft import`: prompts of other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from promptgraft.cli import terminal
from promptgraft.cli.options import Json, LibraryPath, Model

EPILOG = """\b
Example:
$ promptgraft import ./peft-adapter
$ promptgraft import --tensor prompts.safetensors --key mnli --model t5-base
$ promptgraft import --tensor P1001.npy --model bert-base-cased --task P1001 --rows 0:5

\b
Without --key all prompts of a safetensors file come in. If the model is not at hand, they fit
any model of its name, family and size. Pickles (.bin, .pt) are never opened.
"""


def command(
    folder: Annotated[
        Path | None, typer.Argument(metavar="FOLDER", help="What PEFT's save_pretrained wrote.")
    ] = None,
    tensor: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Bare numbers: .safetensors or .npy.")
    ] = None,
    key: Annotated[str | None, typer.Option(help="Name of a tensor. [default: all]")] = None,
    model: Model = None,
    family: Annotated[
        Literal["causal", "seq2seq", "masked"] | None,
        typer.Option(help="Of a model that is not at hand and whose name does not tell."),
    ] = None,
    task: Annotated[
        str | None, typer.Option(help="What it is for. [default: the key, or the folder's name]")
    ] = None,
    task_id: Annotated[
        int, typer.Option(help="Whose prompt, of PEFT's multitask prompt tuning.")
    ] = 0,
    template: Annotated[str | None, typer.Option(help="For bare numbers.")] = None,
    rows: Annotated[
        str | None, typer.Option(metavar="FROM:TO", help="Of bare numbers. [default: all]")
    ] = None,
    tag: Annotated[str | None, typer.Option(help="Keep it as TASK@MODEL:TAG.")] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace a prompt of the same name.")
    ] = False,
    library: LibraryPath = None,
    as_json: Json = False,
) -> None:
    """Take prompts into the library: a PEFT adapter, or bare tensors."""
    if (folder is None) == (tensor is None):
        raise typer.BadParameter("name a folder of PEFT, or a file with --tensor.")
    if tensor is not None and model is None:
        raise typer.BadParameter("--tensor needs the --model that the prompts were tuned for.")

    from promptgraft.api import exchange
    from promptgraft.library import Library

    store = Library(library)
    with terminal.waiting(f"reading {folder or tensor}"):
        if folder is not None:
            name, reason = exchange.import_peft(
                folder,
                model=model,
                task=task,
                task_id=task_id,
                tag=tag,
                replace=replace,
                library=store,
            )
            added = [name]
        else:
            added, reason = exchange.import_tensors(
                tensor or Path(),
                model=model or "",
                key=key,
                family=family,
                task=task,
                template=template,
                rows=_slice(rows) if rows else None,
                tag=tag,
                replace=replace,
                library=store,
            )
    if reason:
        terminal.note(f"Not checked against the model. {reason}")
    if as_json:
        terminal.print_json(added)
        return
    print("\n".join(added))


def _slice(rows: str) -> slice:
    start, colon, stop = rows.partition(":")
    if not colon or not all(part.isdigit() or not part for part in (start, stop)):
        raise typer.BadParameter(f"--rows {rows}; expected FROM:TO, such as 0:5.")
    return slice(int(start or 0), int(stop) if stop else None)
