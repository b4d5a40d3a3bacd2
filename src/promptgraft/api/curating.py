"""Look after a library: what resembles what, and the same prompts in fewer bytes."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from promptgraft.api.names import is_folder, model_for, resolve
from promptgraft.errors import PromptgraftError
from promptgraft.library import Library, Likeness
from promptgraft.models import FrozenModel
from promptgraft.prompts import (
    Parent,
    Precision,
    Prompt,
    SoftPrompt,
    encode,
    rounded,
    rounding_error,
)
from promptgraft.transfer.across_models import relative_representation, shared_anchors
from promptgraft.transfer.across_models.words import vocabulary


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
    Raises PromptgraftError if a name is taken there.
    """
    store, found = library or Library(), []
    for entry in store.list(pattern):
        exact = store.get(entry.name)
        parent = Parent(
            name=entry.name, content_hash=exact.content_hash, relation=f"rounded-to-{precision}"
        )
        error = rounding_error(exact, rounded(exact, precision))
        card = exact.card.model_copy(update={"parents": (*exact.card.parents, parent)})
        marked = exact.with_card(card)
        size = sum(map(len, encode(marked, None, precision).values()))
        if to is not None:
            to.add(marked, entry.name, precision=precision)
        found.append(Packed(entry.name, error.relative, error.largest, size))
    return found


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
