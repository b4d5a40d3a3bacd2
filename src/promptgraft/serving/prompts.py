"""The prompts in use: loaded when they are asked for, kept while there is room."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from promptgraft.errors import PromptgraftError
from promptgraft.library import Library
from promptgraft.models import Encoded, FrozenModel, OnePrompt
from promptgraft.prompts import ModuleState, Prompt, SoftPrompt, load_module_state
from promptgraft.transfer.across_tasks import AdaptivePrompt, Runnable, restore

Version = tuple[int, int]


@dataclass(eq=False)
class Loaded:
    """A prompt ready for use.

    name      its full name in the library
    runs      what the model is run with: the value as the library has it, or what is stored beside
              it and no value can stand for
    version   changes when its folder does
    bytes     memory that its numbers take
    compiled  by the tokens that rows begin with, virtual ones among them: the keys and values the
              model made of them, [L, 2, T, H_kv, d_head]
    """

    name: str
    runs: Runnable
    version: Version
    bytes: int
    compiled: dict[tuple[int, ...], Tensor] = field(default_factory=dict)


class Prompts:
    """An LRU cache of a library's prompts for one model, bounded in bytes.

    bytes  memory that all of them take
    """

    def __init__(self, model: FrozenModel, library: Library, most_bytes: int = 2**30) -> None:
        self.model, self.library, self.most_bytes = model, library, most_bytes
        self.kept: OrderedDict[str, Loaded] = OrderedDict()
        self.bytes = 0

    def get(self, name: str) -> Loaded:
        """The prompt as the library has it at this moment.

        Raises PromptgraftError if there is none of this name, it is damaged or cannot be served,
        WrongModelError if it is another model's.
        """
        name = self.library.resolve(name)
        folder = self.library.show(name).path
        version = _version(folder)
        loaded = self.kept.get(name)
        if loaded is None or loaded.version != version:
            value = self.library.get(name).to(self.model.device)
            self.model.check(value)
            runs = self._beside(value, load_module_state(folder)) or value
            self._let_go(name)
            loaded = self.kept[name] = Loaded(name, runs, version, 0)
            own = runs.state.tensors if isinstance(runs, AdaptivePrompt) else runs.tensors()
            self._grow(loaded, own.values())
        self.kept.move_to_end(name)
        return loaded

    def _beside(self, value: Prompt, state: ModuleState | None) -> Runnable | None:
        """What gives each row its own prompt, or votes, for those of the methods that do."""
        if state is None:
            return None
        if state.settings.get("method") == "ptg":
            encoder = state.settings["settings"]["encoder"]
            if encoder != "own":  # each such prompt would bring a whole model
                raise PromptgraftError(
                    f"The prompt {value.card.title} of the method ptg reads texts with a model of "
                    f"its own, {encoder}, and is not served. Tune it with transfer.encoder=own, or "
                    "use it with promptgraft generate and eval."
                )
        return restore(state, self.model, value.card)

    @torch.no_grad()
    def ready(self, loaded: Loaded, row: Encoded) -> tuple[Encoded, OnePrompt]:
        """A row and its prompt in the form that takes the model least work.

        A soft prompt that rows begin with is compiled to keys and values once; a row then goes on
        behind them. (Not where a sliding window would have to pass over the prompt.)
        """
        head = tuple(row.tokens[: row.head])
        at_start = row.head > 0 and not any(token < 0 for token in row.tokens[row.head :])
        if not (isinstance(loaded.runs, SoftPrompt) and at_start) or self.model.geometry.window:
            return row, loaded.runs
        if head not in loaded.compiled:
            tokens = torch.tensor(head, device=self.model.device)
            loaded.compiled[head] = self.model.compile(tokens, loaded.runs.vectors[None])[0]
            self._grow(loaded, [loaded.compiled[head]])
        tensors: Mapping[str, Tensor] = {"self": loaded.compiled[head]}
        rest = replace(
            row, tokens=row.tokens[row.head :], labels=row.labels[row.head :], head=0, virtual=0
        )
        return rest, tensors

    def _grow(self, loaded: Loaded, tensors: Iterable[Tensor]) -> None:
        """Count what a prompt came to hold, and let go of those unused for longest.

        The newest stays, however large.
        """
        added = sum(t.numel() * t.element_size() for t in tensors)
        loaded.bytes += added
        self.bytes += added
        while self.bytes > self.most_bytes and len(self.kept) > 1:
            self._let_go(next(name for name, one in self.kept.items() if one is not loaded))

    def _let_go(self, name: str) -> None:
        gone = self.kept.pop(name, None)
        self.bytes -= gone.bytes if gone else 0


def _version(folder: Path) -> Version:
    try:
        found = (folder / "prompt.safetensors").stat()
    except FileNotFoundError:  # the library heals it, or says what is wrong with it
        return 0, 0
    return found.st_mtime_ns, found.st_ino
