"""`promptgraft show`: everything known about one prompt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from promptgraft.cli import terminal
from promptgraft.cli.options import Json, LibraryPath, PromptName

if TYPE_CHECKING:
    from promptgraft.library import Origin
    from promptgraft.prompts import PromptCard

EPILOG = """\b
Example:
$ promptgraft show sst2@mini/bert-m
Name       sst2@mini/bert-m
Kind       soft-prompt, 20 virtual tokens
Model      mini/bert-m (masked, 256 dimensions, fingerprint ffcc24532918)
Task       sst2
Template   {prompt} {text} {mask} .
Words      0 = negative, 1 = positive
Method     transfer:code
Settings   labels_used=False
           transfer.anchors=3000
           transfer.anchors_by=frequent
           transfer.anchors_seed=0
           transfer.atoms=8
           transfer.by=pursuit
           transfer.frame=states
           transfer.normalise=True
           transfer.temperature=0.02
           trust.anchors=3000
           trust.coverage=0.3356
           trust.matching_loss=0.01746
           trust.mean_to_std=1.064
Data       0c2c91d19c52
Created    2026-11-22T09:59:59Z
Made with  promptgraft 0.1.0
Parents    └─ transferred-from sst2@mini/bert-s
Folder     ~/.promptgraft/library/97/sst2@mini%2Fbert-m
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
    from promptgraft.library import Library, children, origin
    from promptgraft.prompts import load_card

    store = Library(library)
    if (Path(prompt) / "prompt.json").is_file():
        name, card, path = prompt, load_card(prompt), Path(prompt)
        made: list[str] = []
    else:
        name, card, path = store.show(prompt)
        made = children(store, name)
    tree = origin(store, name, card)
    nearest: list[list[tuple[str, float]]] = []
    if tokens:
        with terminal.waiting(f"loading {card.base.name}"):
            nearest = api.nearest_tokens(api.resolve(str(path)))
    if as_json:
        found: dict[str, Any] = {"name": name, "path": path, "card": card.model_dump(mode="json")}
        found |= {"lineage": asdict(tree), "children": made}
        terminal.print_json(found | ({"nearest_tokens": nearest} if tokens else {}))
        return
    more = {
        "Loss": _curve(card.curve) if card.curve else "",
        "Parents": "\n".join(_branches(tree)),
        "Made from it": "\n".join(made),
        "Folder": str(path),
    }
    terminal.print_facts(
        [("Name", name), *_facts(card), *((key, value) for key, value in more.items() if value)]
    )
    if tokens:
        print("\nVirtual token: its nearest real tokens, with the cosine")
        for number, near in enumerate(nearest, 1):
            print(f"{number:4d}: " + "  ".join(f"{token} {cosine:.2f}" for token, cosine in near))


def _curve(losses: Sequence[float]) -> str:
    return f"{terminal.sparkline(losses)}  {losses[0]:.3f} to {losses[-1]:.3f}"


def _branches(tree: Origin, before: str = "") -> list[str]:
    """The ancestors as lines of a tree."""
    lines = []
    for number, parent in enumerate(tree.parents, 1):
        last = number == len(tree.parents)
        here = "" if parent.is_here else "  (not here)"
        lines.append(f"{before}{'└─' if last else '├─'} {parent.relation} {parent.name}{here}")
        lines += _branches(parent, before + ("   " if last else "│  "))
    return lines


def _facts(card: PromptCard) -> list[tuple[str, str]]:
    base = card.base
    known = f"fingerprint {base.fingerprint[:12]}" if base.fingerprint else "not checked"
    words = (card.verbalizer or {}).items()
    facts = {
        "Kind": card.form,
        "Model": f"{base.name} ({base.family}, {base.embedding_size} dimensions, {known})",
        "Task": card.task,
        "Template": card.template,
        "Words": ", ".join(f"{label} = {word}" for label, word in words),
        "Method": card.method,
        "Metrics": "\n".join(f"{name} {value:.2f}" for name, value in card.metrics.items()),
        "Settings": "\n".join(_settings(card.hyperparameters)),
        "Seed": None if card.seed is None else str(card.seed),
        "Data": card.data_hash and card.data_hash[:12],
        "Created": card.created,
        "Made with": card.library_version and f"promptgraft {card.library_version}",
        "Licence": card.licence,
        "Notes": card.notes,
    }
    return [(name, value) for name, value in facts.items() if value]


def _settings(given: Mapping[str, Any], within: str = "") -> Iterator[str]:
    """`name=value` for each, those of a group as `group.name=value`; what is None is left out."""
    for name, value in given.items():
        if isinstance(value, Mapping):
            yield from _settings(value, f"{within}{name}.")
        elif value is not None:
            shown = f"{value:.4g}" if isinstance(value, float) else value
            yield f"{within}{name}={shown}"
