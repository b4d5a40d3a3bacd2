"""What the methods of transfer across tasks have in common; each registers itself by name."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from promptgraft.errors import ConfigError
from promptgraft.models import Batch, Emitter, Encoded, FrozenModel, PromptTensors
from promptgraft.modules import Layout, PromptModule, Start
from promptgraft.modules.registry import Registry
from promptgraft.prompts import ModuleState
from promptgraft.training import Objective, read
from promptgraft.training.baselines import Baseline
from promptgraft.training.described import Described
from promptgraft.transfer.across_tasks.pool import Pool


class Settings(Described):
    """Settings of a method; `TuneConfig.transfer` holds them."""

    @property
    def rate(self) -> float:
        """The run's learning rate, if none is given: the one of the method's paper."""
        raise NotImplementedError


@dataclass(frozen=True)
class Borrowed:
    """What each target task takes from whom.

    columns  names of the C prompts that are mixed: the sources, perhaps one of the task's own
    weights  [tasks, C]
    prompts  [tasks, C, P, W], attention sites side by side
    """

    columns: tuple[str, ...]
    weights: Tensor
    prompts: Tensor


@dataclass(frozen=True)
class Given:
    """What a method is built from.

    draw   gives tables [P, width] of another initial prompt at every call
    tasks  the target tasks, in the order that `Batch.tasks` counts them
    rows   the training rows
    probe  tunes a plain prompt for a number of steps; its tables
    """

    model: FrozenModel
    layout: Layout
    pool: Pool
    draw: Callable[[], Start]
    tasks: tuple[str, ...] = ("",)
    rows: Sequence[Encoded] = ()
    probe: Callable[[int], Mapping[str, Tensor]] | None = None

    def drawn(self, count: int) -> dict[str, Tensor]:
        """So many initial prompts: tables [count, P, width]."""
        widths = self.layout.widths()
        if not count:
            return {n: torch.zeros(0, self.layout.length, w) for n, w in widths.items()}
        starts = [self.draw() for _ in range(count)]
        return {
            name: torch.stack(
                [torch.randn(self.layout.length, w) if s is None else s[name] for s in starts]
            )
            for name, w in widths.items()
        }


class Transfer(PromptModule):
    """A prompt module that is built from a pool of source prompts.

    adapts  whether no one value can hold what it does: each row gets a prompt of its own, or the
            input's embeddings are changed
    joint   whether several target tasks can be tuned together
    tuned   a copy of the model whose weights are trained with the prompt; it is run in the place
            of the frozen one, and stored beside the prompt (`state` is without it)
    """

    Settings: ClassVar[type[Settings]]
    name: ClassVar[str]
    needs_pool: ClassVar[bool] = True
    adapts: bool = False
    joint: ClassVar[bool] = False

    def __init__(self, given: Given, settings: Any) -> None:
        super().__init__(given.layout)
        self.settings: Any = settings
        self.tuned: Baseline | None = None
        self.tasks, self.sources = given.tasks, given.pool.names

    def each(self) -> list[PromptTensors]:
        """The prompt of every target task, unbatched."""
        return [self()]

    def of(self, task: int) -> Emitter:
        """What gives rows of one target task their prompts; their batch need not say which."""

        def emit(batch: Batch | None = None) -> PromptTensors | Sequence[PromptTensors]:
            if batch is None:
                return self.each()[task]
            given: PromptTensors = self(replace(batch, tasks=(task,) * len(batch)))
            return given

        return emit

    def objective(self, plain: Objective) -> Objective:
        """What is minimised: the tasks' loss, unless the method adds to it."""
        return plain

    def borrowed(self) -> Borrowed | None:
        """What each target task takes from whom; None where a method has no such weights."""
        return None

    @classmethod
    def form(cls, settings: Any) -> str | None:
        """What a prompt is, in words, of a method whose prompts are mixed from no others."""
        return None

    def attention(self, batch: Batch) -> Tensor | None:
        """The weights [B, columns] of each row, where they depend on it."""
        return None

    def state(self) -> ModuleState:
        """The module as it is stored: what `restore` needs."""
        return ModuleState(
            {
                "method": self.name,
                "settings": self.settings.model_dump(mode="json"),
                "sources": list(self.sources),
                "tasks": list(self.tasks),
                "kind": self.layout.kind,
                "length": self.layout.length,
                "sites": list(self.layout.sites),
            },
            {n: t for n, t in self.state_dict().items() if not n.startswith("tuned.")},
        )


METHODS: Registry[type[Transfer]] = Registry("method")


def register(name: str) -> Callable[[type[Transfer]], type[Transfer]]:
    """Class decorator: a method by its name."""

    def keep(method: type[Transfer]) -> type[Transfer]:
        method.name = name
        return METHODS.register(name)(method)

    return keep


def settings_of(method: str, settings: Mapping[str, Any]) -> Settings:
    """A method's settings, checked. Raises ConfigError with every problem in them."""
    checked: Settings = read(METHODS[method].Settings, None, settings)
    return checked


def build(method: str, given: Given, settings: Mapping[str, Any]) -> Transfer:
    """A method by name, ready to be tuned. Raises ConfigError for what does not fit together."""
    kind = METHODS[method]
    if kind.needs_pool and not len(given.pool):
        raise ConfigError(
            f"{method} needs source prompts: name some of the library, such as --pool '*@mini/t5-s'"
        )
    if len(given.tasks) > 1 and not kind.joint:
        able = ", ".join(name for name in METHODS.names() if METHODS[name].joint)
        raise ConfigError(f"{method} tunes one task at a time; several together: {able}.")
    return kind(given, settings_of(method, settings))
