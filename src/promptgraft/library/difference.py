"""What two prompts differ in."""

from typing import NamedTuple

from promptgraft.library.fields import flat
from promptgraft.library.likeness import cosine, mean_vector
from promptgraft.prompts import Prompt, rounding_error


class Difference(NamedTuple):
    """Two prompts side by side.

    fields    card fields that differ: name, first prompt's value, second's; empty if it has none
    cosine    of the means over virtual tokens; None if their sizes differ
    distance  norm of the difference of all numbers over the first one's norm; None as above, and
              if the numbers of virtual tokens differ
    """

    fields: list[tuple[str, str, str]]
    cosine: float | None
    distance: float | None


def difference(one: Prompt, other: Prompt) -> Difference:
    """Compare cards field by field, and numbers."""
    cards = [_texts(prompt) for prompt in (one, other)]
    names = [*cards[0], *(name for name in cards[1] if name not in cards[0])]
    pairs = ((name, cards[0].get(name, ""), cards[1].get(name, "")) for name in names)
    fields = [(name, a, b) for name, a, b in pairs if a != b]
    means = mean_vector(one), mean_vector(other)
    alike = cosine(*means) if means[0].shape == means[1].shape else None
    shapes = [{n: t.shape for n, t in prompt.tensors().items()} for prompt in (one, other)]
    apart = rounding_error(one, other).relative if shapes[0] == shapes[1] else None
    return Difference(fields, alike, apart)


def _texts(prompt: Prompt) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in flat(prompt.card.model_dump(mode="json", exclude={"curve"})):
        found[name] = f"{found[name]}, {value}" if name in found else str(value)
    return found
