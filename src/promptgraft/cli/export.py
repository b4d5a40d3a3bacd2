"""`promptgraft export`: prompts for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from promptgraft.cli import terminal
from promptgraft.cli.options import LibraryPath, Model, PromptName

EPILOG = """\b
Example:
$ promptgraft export e2e@mini/gpt2-s ./adapter
$ promptgraft export e2e@mini/gpt2-s request.json --format prompt-embeds --text 'name : Aromi'

\b
peft: load the folder with PeftModel.from_pretrained(model, "./adapter").
prompt-embeds, for vLLM:
  vllm serve MODEL --enable-prompt-embeds
  curl http://localhost:8000/v1/completions -H 'Content-Type: application/json' -d @request.json
"""


def command(
    prompt: PromptName,
    to: Annotated[Path, typer.Argument(metavar="PATH", help="A new folder, or a file.")],
    format: Annotated[
        Literal["peft", "prompt-embeds"], typer.Option(help="Output format.")
    ] = "peft",
    kind: Annotated[
        str | None,
        typer.Option(
            help="PROMPT_TUNING, P_TUNING, MULTITASK_PROMPT_TUNING or PREFIX_TUNING. [default: "
            "what the prompt is]"
        ),
    ] = None,
    task_type: Annotated[
        str | None,
        typer.Option(
            help="SEQ_CLS: a classifier of the label words, of causal models. [default: what the "
            "model is]"
        ),
    ] = None,
    text: Annotated[str | None, typer.Option(help="The input of a request to vLLM.")] = None,
    max_tokens: Annotated[int, typer.Option(min=1, help="Of a request to vLLM.")] = 64,
    force: Annotated[
        bool,
        typer.Option("--force", help="Replace the file, or the adapter in the folder, if there."),
    ] = False,
    model: Model = None,
    library: LibraryPath = None,
) -> None:
    """Write a prompt as a PEFT adapter or as a request to vLLM."""
    if (format == "prompt-embeds") != (text is not None):
        raise typer.BadParameter("--format prompt-embeds and --text go together.")
    if format != "peft" and (kind or task_type):
        raise typer.BadParameter("--kind and --task-type are for --format peft.")

    from promptgraft.api import exchange
    from promptgraft.library import Library

    settings: dict[str, Any] = {"kind": kind, "task_type": task_type}
    if text is not None:
        settings = {"text": text, "max_tokens": max_tokens}
    with terminal.waiting(f"writing {to}"):
        exchange.export(
            prompt,
            to,
            format,
            model=model,
            replace=force,
            library=Library(library),
            **settings,
        )
    print(to)
