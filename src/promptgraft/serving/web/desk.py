"""What the tabs share: a library, models that are loaded when first asked, and who may write."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from promptgraft import minis
from promptgraft.analysis.library_report import LISTED
from promptgraft.errors import PromptgraftError, did_you_mean
from promptgraft.library import Entry, Library
from promptgraft.models import FrozenModel
from promptgraft.models.loading import is_at_hand

KEPT = 4  # models in memory


class Desk:
    """The pages' way to the library and to models.

    models  those that may be used; none: the minis, and the models of the library's prompts
    write   whether pages may keep prompts and tune
    """

    def __init__(self, library: Library, models: Sequence[str] = (), write: bool = False) -> None:
        self.library, self.given, self.write = library, tuple(models), write
        self.training = threading.Lock()  # one run at a time
        self._loaded: OrderedDict[str, FrozenModel] = OrderedDict()
        self._turn = threading.RLock()

    def entries(self) -> list[Entry]:
        """The prompts that lists offer: the first by name; of others one types the name."""
        return self.library.list()[:LISTED]

    def models(self) -> list[str]:
        """The names of the models that may be used, those on this machine first."""
        named = (entry.card.base.name for entry in self.entries())
        found = self.given or sorted({*minis.names(), *named})
        return sorted(found, key=lambda name: not is_at_hand(name))

    def prompts(self, model: str) -> list[str]:
        """The names of the prompts that were made for a model."""
        loaded = self._loaded.get(model)
        own = loaded.reference.fingerprint if loaded else None
        return [
            entry.name
            for entry in self.entries()
            if entry.card.base.name == model or (own and entry.card.base.fingerprint == own)
        ]

    @contextmanager
    def using(self, *names: str) -> Iterator[list[FrozenModel]]:
        """Models, while nobody else uses one.

        Raises PromptgraftError for one that is not offered or cannot be loaded.
        """
        known = self.models()
        for name in names:
            if name not in known:
                raise PromptgraftError(
                    f"{name or 'No model'} is not among the models of this page: "
                    f"{', '.join(known)}.{did_you_mean(name, known)}"
                )
        with self._turn:
            found = [self._load(name) for name in names]
            while len(self._loaded) > KEPT:
                self._loaded.popitem(last=False)
            yield found

    def check_writing(self) -> None:
        """Raise PromptgraftError where pages may only look."""
        if not self.write:
            raise PromptgraftError("This page is read-only; start it with: promptgraft ui --write")

    def _load(self, name: str) -> FrozenModel:
        if name not in self._loaded:
            self._loaded[name] = FrozenModel.load(name)
        self._loaded.move_to_end(name)
        return self._loaded[name]
