"""`promptgraft generate`: what a prompt makes its model write."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from promptgraft.cli import terminal
from promptgraft.cli.options import Json, LibraryPath, Model, PromptName

EPILOG = """\b
Example:
$ promptgraft generate e2e@mini/gpt2-m 'name : Cotto | Type : pub | area : riverside'
Cotto is a pub called Cotto .
"""


def command(
    prompt: PromptName,
    sources: Annotated[
        list[str] | None,
        typer.Argument(metavar="SOURCE", help="Inputs; none: the lines of standard input."),
    ] = None,
    file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Inputs, one to a line.")
    ] = None,
    model: Model = None,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Longest text.")] = 64,
    beams: Annotated[int, typer.Option(min=1, help="Width of the beam search.")] = 1,
    temperature: Annotated[
        float | None, typer.Option(help="Draw words at random at this temperature.")
    ] = None,
    top_p: Annotated[
        float | None, typer.Option(help="Draw from the likeliest words up to this share.")
    ] = None,
    stop: Annotated[list[str] | None, typer.Option(help="A string that ends a text.")] = None,
    seed: Annotated[int | None, typer.Option(help="For the same random texts again.")] = None,
    library: LibraryPath = None,
    as_json: Json = False,
) -> None:
    """Write a text for each input."""
    if sources and file:
        raise typer.BadParameter("give inputs or --file, not both.")
    inputs = sources or _lines(file)
    if not inputs:
        raise typer.BadParameter("there is no input.")

    from promptgraft import api
    from promptgraft.library import Library

    settings: dict[str, Any] = {"max_new_tokens": max_new_tokens, "stop": stop, "seed": seed}
    settings["num_beams"] = beams
    sampling = {"temperature": temperature, "top_p": top_p}
    chosen = {name: value for name, value in sampling.items() if value is not None}
    if chosen and temperature != 0:  # at zero the likeliest token is taken
        settings |= {"do_sample": True, **chosen}
    with terminal.waiting("writing"):
        texts = api.generate(prompt, inputs, model=model, library=Library(library), **settings)
    if as_json:
        pairs = zip(inputs, texts, strict=True)
        terminal.print_json([{"source": source, "text": text} for source, text in pairs])
        return
    for text in texts:
        print(text)


def _lines(file: Path | None) -> list[str]:
    if file is None and sys.stdin.isatty():
        terminal.note("Type inputs, one to a line; end with Ctrl-D.")
    text = sys.stdin.read() if file is None else file.read_text("utf-8")
    return [line for line in text.splitlines() if line.strip()]
