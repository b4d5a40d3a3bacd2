"""Names of modules, initialisers, baselines, methods of transfer and studies; most register
themselves in the file that holds them."""

from collections.abc import Callable
from typing import Generic, TypeVar

from promptgraft.errors import ConfigError, did_you_mean

Item = TypeVar("Item")


class Registry(Generic[Item]):
    """Things by name, with an error that helps."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.items: dict[str, Item] = {}

    def register(self, name: str) -> Callable[[Item], Item]:
        """Decorator: keep the item under this name."""

        def keep(item: Item) -> Item:
            self.items[name] = item
            return item

        return keep

    def __getitem__(self, name: str) -> Item:
        if name not in self.items:
            raise ConfigError(
                f"There is no {self.what} {name!r}; there are {', '.join(self.names())}."
                + did_you_mean(name, self.items)
            )
        return self.items[name]

    def name_of(self, item: Item) -> str:
        """The name that an item is kept under."""
        return next(name for name, known in self.items.items() if known is item)

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted(self.items)
