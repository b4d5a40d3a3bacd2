"""Where a prompt comes from, and what was made from it, as far as the library knows."""

from __future__ import annotations

from dataclasses import dataclass

from promptgraft.library.store import Library
from promptgraft.prompts import PromptCard


@dataclass(frozen=True)
class Origin:
    """A prompt and the prompts that it was made from.

    name      in this library if its numbers are here, else as the child's card has it
    relation  how the child was made from it; empty for the prompt one asked for
    is_here   whether a prompt with these numbers is in the library
    """

    name: str
    relation: str
    is_here: bool
    parents: tuple[Origin, ...]


def origin(library: Library, name: str, card: PromptCard) -> Origin:
    """The tree of a prompt's ancestors, found by their numbers, whatever they are called now."""
    return Origin(name, "", True, _parents(library, card, frozenset()))


def children(library: Library, name: str) -> list[str]:
    """The names of the prompts that were made from this one."""
    content_hash = library.index.content_hash(name)
    return library.index.made_from(content_hash) if content_hash else []


def _parents(library: Library, card: PromptCard, seen: frozenset[str]) -> tuple[Origin, ...]:
    found = []
    for parent in card.parents:
        here = library.index.with_content(parent.content_hash)
        known = library.index.card(here[0]) if here else None
        own: tuple[Origin, ...] = ()
        if known is not None and parent.content_hash not in seen:  # a made-up card may be a circle
            own = _parents(library, known, seen | {parent.content_hash})
        name = here[0] if here else parent.name
        found.append(Origin(name, parent.relation, bool(here), own))
    return tuple(found)
