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
    text: Annotated[str | None, typer.Option(help="The input of a request to vLLM.")] = None,
    max_tokens: Annotated[int, typer.Option(help="Of a request to vLLM.")] = 64,
    model: Model = None,
    library: LibraryPath = None,
) -> None:
    """Write a prompt as a PEFT adapter or as a request to vLLM."""
    if (format == "prompt-embeds") != (text is not None):
        raise typer.BadParameter("--format prompt-embeds and --text go together.")

    from promptgraft.api import exchange
    from promptgraft.library import Library

    settings: dict[str, Any] = {"kind": kind}
    if text is not None:
        settings = {"text": text, "max_tokens": max_tokens}
    with terminal.waiting(f"writing {to}"):
        exchange.export(prompt, to, format, model=model, library=Library(library), **settings)
    print(to)
