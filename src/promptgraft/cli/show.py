"""`promptgraft show`: everything known about one prompt."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from promptgraft.cli import terminal
from promptgraft.cli.options import Json, LibraryPath, PromptName

if TYPE_CHECKING:
    from promptgraft.prompts import PromptCard

EPILOG = """\b
Example:
$ promptgraft show sst2@mini/bert-m
"""


def command(
    prompt: PromptName,
    tokens: Annotated[
        bool, typer.Option("--tokens", help="Load the model and name the nearest real tokens.")
    ] = False,
    library: LibraryPath = None,
    as_json: Json = False,
) -> None:
    """Show all that is known about a prompt."""
    from promptgraft import api
    from promptgraft.library import Library
    from promptgraft.prompts import load_card

    if (Path(prompt) / "prompt.json").is_file():
        name, card, path = prompt, load_card(prompt), Path(prompt)
    else:
        name, card, path = Library(library).show(prompt)
    nearest: list[list[tuple[str, float]]] = []
    if tokens:
        with terminal.waiting(f"loading {card.base.name}"):
            nearest = api.nearest_tokens(api.resolve(str(path)))
    if as_json:
        found = {"name": name, "path": path, "card": card.model_dump(mode="json")}
        terminal.print_json(found | ({"nearest_tokens": nearest} if tokens else {}))
        return
    terminal.print_facts([("Name", name), *_facts(card), ("Folder", str(path))])
    if tokens:
        print("\nVirtual token: its nearest real tokens, with the cosine")
        for number, near in enumerate(nearest, 1):
            print(f"{number:4d}: " + "  ".join(f"{token} {cosine:.2f}" for token, cosine in near))


def _facts(card: PromptCard) -> list[tuple[str, str]]:
    base = card.base
    words = (card.verbalizer or {}).items()
    parents = [f"{p.relation} {p.name} ({p.content_hash[:12]})" for p in card.parents]
    facts = {
        "Kind": f"{card.kind}, {card.length} virtual tokens",
        "Model": f"{base.name} ({base.family}, {base.embedding_size} dimensions, "
        f"fingerprint {base.fingerprint[:12]})",
        "Task": card.task,
        "Template": card.template,
        "Words": ", ".join(f"{label} = {word}" for label, word in words),
        "Method": card.method,
        "Metrics": "\n".join(f"{name} {value:.2f}" for name, value in card.metrics.items()),
        "Parents": "\n".join(parents),
        "Settings": "\n".join(f"{name}={value}" for name, value in card.hyperparameters.items()),
        "Seed": None if card.seed is None else str(card.seed),
        "Data": card.data_hash and card.data_hash[:12],
        "Created": card.created,
        "Made with": card.library_version and f"promptgraft {card.library_version}",
        "Licence": card.licence,
        "Notes": card.notes,
    }
    return [(name, value) for name, value in facts.items() if value]
