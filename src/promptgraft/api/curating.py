"""Look after a library: what resembles what, and the same prompts in fewer bytes."""

import shlex
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from promptgraft.api.names import is_folder, model_for, resolve
from promptgraft.errors import PromptgraftError
from promptgraft.library import Library, Likeness, Listing
from promptgraft.models import FrozenModel
from promptgraft.prompts import (
    Parent,
    Precision,
    Prompt,
    PromptCard,
    SoftPrompt,
    encode,
    load_content_hash,
    rounded,
    rounding_error,
)
from promptgraft.transfer.across_models import relative_representation, shared_anchors
from promptgraft.transfer.across_models.words import vocabulary

MOST_NAMED = 3  # in an error


class Neighbours(NamedTuple):
    """The most similar prompts, best first; models that could not be loaded, and why."""

    found: list[Likeness]
    skipped: list[str]


class Packed(NamedTuple):
    """A prompt in fewer bytes: its name, what rounding did (RoundingError), the file's size."""

    name: str
    relative: float
    largest: float
    bytes: int


def similar(
    prompt: str | Prompt,
    count: int = 10,
    *,
    across: bool = False,
    library: Library | None = None,
) -> Neighbours:
    """The prompts of a library that are most like one.

    Those of the same model and kind, by the cosine of their means; with `across` the soft prompts
    of all models, by the correlation of their mean relative representations (PTfer, Eq. 3) over the
    words that both models know. Raises PromptgraftError for a prefix across models.
    """
    store = library or Library()
    value = resolve(prompt, store) if isinstance(prompt, str) else prompt
    own = store.resolve(prompt) if isinstance(prompt, str) and not is_folder(prompt) else None
    if not across:
        return Neighbours(list(store.similar(own or value, count)), [])
    if not isinstance(value, SoftPrompt):
        raise PromptgraftError(
            f"{value.card.title} is a prefix: keys and values of its own model's layers, which "
            "cannot be compared across models."
        )
    source, skipped = model_for(value, None), []
    found = []
    for identity, names in _by_model(store).items():
        same = identity in (source.reference.identity, value.card.base.identity)
        try:
            first = store.get(names[0])
            target = source if same else FrozenModel.load(first.card.base.name)
            target.check(first)
            words = shared_anchors([source, target])
        except PromptgraftError as error:
            skipped.append(str(error))
            continue
        mine = _place(value, source, words)
        for name in names:
            other = store.get(name)
            if name != own and isinstance(other, SoftPrompt):
                theirs = _place(other, target, words)
                found.append(Likeness(name, float(mine @ theirs)))
    return Neighbours(sorted(found, key=lambda one: (-one.cosine, one.name))[:count], skipped)


def pack(
    pattern: str,
    precision: Precision,
    to: Library | None = None,
    *,
    library: Library | None = None,
) -> list[Packed]:
    """Round the prompts whose names fit, and keep the rounded ones in another library.

    Without `to` only the errors are found. A rounded prompt names the exact one as its parent.
    Those that were packed there before stay as they are. Raises PromptgraftError before anything
    is packed if other prompts have these names there.
    """
    store, found = library or Library(), []
    listing = store.list(pattern)
    present = _present(listing, precision, to) if to is not None else set()
    for entry in listing:
        exact = store.get(entry.name)
        error = rounding_error(exact, rounded(exact, precision))
        card = _card_of_rounded(entry.name, exact.card, exact.content_hash, precision)
        marked = exact.with_card(card)
        size = sum(map(len, encode(marked, None, precision).values()))
        if to is not None and entry.name not in present:
            to.add(marked, entry.name, precision=precision)
        found.append(Packed(entry.name, error.relative, error.largest, size))
    return found


def _present(listing: Listing, precision: Precision, to: Library) -> set[str]:
    """The names that were packed there before; a PromptgraftError if others are called so there."""
    present = [entry for entry in listing if entry.name in to]
    others = []
    for name, card, path in present:
        expected = _card_of_rounded(name, card, load_content_hash(path), precision)
        there = to.show(name).card
        if there.model_dump_json() != expected.model_dump_json():  # as JSON: a metric may be NaN
            others.append(name)
    if others:
        shown = " ".join([*others[:MOST_NAMED], *(["…"] if len(others) > MOST_NAMED else [])])
        raise PromptgraftError(
            f"{to.path} has another {shown}. Nothing was packed: pack into another folder, or "
            f"first: promptgraft rm {shown} --library {shlex.quote(str(to.path))}"
        )
    return {entry.name for entry in present}


def _card_of_rounded(
    name: str, card: PromptCard, content_hash: str, precision: Precision
) -> PromptCard:
    parent = Parent(name=name, content_hash=content_hash, relation=f"rounded-to-{precision}")
    return card.model_copy(update={"parents": (*card.parents, parent)})


def _by_model(library: Library) -> dict[str, list[str]]:
    """The names of the soft prompts by their model."""
    names: dict[str, list[str]] = {}
    for entry in library.list(where="kind=soft-prompt"):
        names.setdefault(entry.card.base.identity, []).append(entry.name)
    return names


def _place(prompt: SoftPrompt, model: FrozenModel, words: Sequence[str]) -> Tensor:
    """Where a prompt lies among words: mean cosine with each, centred, of length one: [words]."""
    known = vocabulary(model.tokenizer)
    ids = [token for word in words if (token := known.find(word)) is not None]
    anchors = model.embed(torch.tensor(ids)).cpu()
    mean = relative_representation(prompt.vectors, anchors).mean(0)
    return normalize(mean - mean.mean(), dim=0)
