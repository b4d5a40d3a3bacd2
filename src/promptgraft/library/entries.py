"""What a library answers with."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, overload

from promptgraft.prompts import PromptCard


class Entry:
    """A prompt of the library, without its tensors; unpacks to name, card, path.

    Card and path are looked up when they are asked for: a listing of many thousands has no use for
    most of them.
    """

    __slots__ = ("_card", "_path", "name")

    def __init__(
        self, name: str, path: Callable[[str], Path], card: Callable[[str], PromptCard]
    ) -> None:
        self.name, self._path, self._card = name, path, card

    @property
    def card(self) -> PromptCard:
        return self._card(self.name)

    @property
    def path(self) -> Path:
        return self._path(self.name)

    def __iter__(self) -> Iterator[Any]:
        return iter((self.name, self.card, self.path))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Entry) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f"Entry({self.name!r}, {str(self.path)!r})"


class Broken(NamedTuple):
    """A folder in the library that is not a prompt, why, and whether it was just set aside."""

    path: Path
    reason: str
    is_moved: bool = False


class Listing(Sequence[Entry]):
    """Entries by name, each made when it is looked at.

    names   the names alone, sorted
    broken  the folders that could not be read, of those whose names fit
    """

    def __init__(
        self,
        names: Sequence[str],
        path: Callable[[str], Path],
        card: Callable[[str], PromptCard],
        broken: Sequence[Broken] = (),
    ) -> None:
        self.names, self.broken = list(names), list(broken)
        self._path, self._card = path, card

    def __len__(self) -> int:
        return len(self.names)

    @overload
    def __getitem__(self, place: int) -> Entry: ...
    @overload
    def __getitem__(self, place: slice) -> list[Entry]: ...
    def __getitem__(self, place: int | slice) -> Entry | list[Entry]:
        if isinstance(place, slice):
            return [self._entry(name) for name in self.names[place]]
        return self._entry(self.names[place])

    def __repr__(self) -> str:
        return f"Listing({self.names!r})"

    def _entry(self, name: str) -> Entry:
        return Entry(name, self._path, self._card)


class Likeness(NamedTuple):
    """A prompt, and how much it resembles another: a cosine in [-1, 1]."""

    name: str
    cosine: float
