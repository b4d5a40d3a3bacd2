"""The prompts in use: loaded when they are asked for, kept while there is room."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from promptgraft.library import Library
from promptgraft.models import Encoded, FrozenModel, OnePrompt
from promptgraft.prompts import Prompt, SoftPrompt

Version = tuple[int, int]


@dataclass(eq=False)
class Loaded:
    """A prompt ready for use.

    value     as the library has it
    version   changes when its folder does
    compiled  by the tokens that rows begin with, virtual ones among them: the keys and values the
              model made of them, [L, 2, T, H_kv, d_head]
    """

    value: Prompt
    version: Version
    compiled: dict[tuple[int, ...], Tensor] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        """Memory that its numbers take."""
        tensors = [*self.value.tensors().values(), *self.compiled.values()]
        return sum(t.numel() * t.element_size() for t in tensors)


class Prompts:
    """An LRU cache of a library's prompts for one model, bounded in bytes."""

    def __init__(self, model: FrozenModel, library: Library, most_bytes: int = 2**30) -> None:
        self.model, self.library, self.most_bytes = model, library, most_bytes
        self.kept: OrderedDict[str, Loaded] = OrderedDict()

    def get(self, name: str) -> Loaded:
        """The prompt as the library has it at this moment.

        Raises PromptgraftError if there is none of this name or it is damaged, WrongModelError if
        it is another model's.
        """
        version = _version(self.library.show(name).path)
        loaded = self.kept.get(name)
        if loaded is None or loaded.version != version:
            value = self.library.get(name).to(self.model.device)
            self.model.check(value)
            loaded = self.kept[name] = Loaded(value, version)
        self.kept.move_to_end(name)
        self._shrink()
        return loaded

    @torch.no_grad()
    def ready(self, loaded: Loaded, row: Encoded) -> tuple[Encoded, OnePrompt]:
        """A row and its prompt in the form that takes the model least work.

        A soft prompt that rows begin with is compiled to keys and values once; a row then goes on
        behind them. (Not where a sliding window would have to pass over the prompt.)
        """
        head = tuple(row.tokens[: row.head])
        at_start = row.head > 0 and not any(token < 0 for token in row.tokens[row.head :])
        if not (isinstance(loaded.value, SoftPrompt) and at_start) or self.model.geometry.window:
            return row, loaded.value
        if head not in loaded.compiled:
            tokens = torch.tensor(head, device=self.model.device)
            loaded.compiled[head] = self.model.compile(tokens, loaded.value.vectors[None])[0]
            self._shrink()
        tensors: Mapping[str, Tensor] = {"self": loaded.compiled[head]}
        rest = replace(
            row, tokens=row.tokens[row.head :], labels=row.labels[row.head :], head=0, virtual=0
        )
        return rest, tensors

    @property
    def bytes(self) -> int:
        """Memory that all the prompts take."""
        return sum(loaded.bytes for loaded in self.kept.values())

    def _shrink(self) -> None:
        """Let go of those unused for longest; the newest stays, however large."""
        total = self.bytes
        while total > self.most_bytes and len(self.kept) > 1:
            _, loaded = self.kept.popitem(last=False)
            total -= loaded.bytes


def _version(folder: Path) -> Version:
    found = (folder / "prompt.safetensors").stat()
    return found.st_mtime_ns, found.st_ino
