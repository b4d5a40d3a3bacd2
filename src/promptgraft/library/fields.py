"""A card as a list of fields with dotted names."""

from collections.abc import Iterator
from typing import Any


def flat(value: Any, name: str = "") -> Iterator[tuple[str, str | float]]:
    """The fields of a card with the names that filters know: `base.name`, `metrics.test.f1`."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from flat(inner, f"{name}.{key}" if name else key)
    elif isinstance(value, list):
        for inner in value:
            yield from flat(inner, name)
    elif isinstance(value, bool):
        yield name, str(value).lower()
    elif isinstance(value, (str, int, float)):
        yield name, value
