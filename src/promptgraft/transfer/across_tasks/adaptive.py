"""The value of a method that gives every row its own prompt: a small module, kept as it was."""

import copy
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor

from promptgraft.errors import PromptgraftError
from promptgraft.models import Batch, FrozenModel, PromptTensors
from promptgraft.modules import Layout, value_of
from promptgraft.prompts import ENSEMBLE, Ensemble, ModuleState, Prompt, PromptCard
from promptgraft.transfer.across_tasks.method import METHODS, Given, Transfer
from promptgraft.transfer.across_tasks.pool import Pool


class AdaptivePrompt:
    """A frozen model takes it like any prompt; each row of a batch gets what the module gives it.

    task   which of the module's target tasks it is for
    usual  the prompt of no row in particular, a plain value: what a library lists and compares
    state  the module as it is stored beside that value
    """

    def __init__(self, module: Transfer, card: PromptCard, task: int = 0) -> None:
        without: dict[int, object] = {id(module.tuned): None}  # the weights are no part of a prompt
        self._module = copy.deepcopy(module, without).requires_grad_(False)
        self._task = task
        self.card = card
        self.usual: Prompt = value_of(self(), card)
        state = self._module.state()
        self.state = ModuleState(state.settings | {"task": task}, state.tensors)

    @torch.no_grad()
    def __call__(self, batch: Batch | None = None) -> PromptTensors:
        return cast(PromptTensors, self._module.of(self._task)(batch))

    @torch.no_grad()
    def attention(self, batch: Batch) -> tuple[tuple[str, ...], Tensor] | None:
        """Names of the prompts that are mixed, and each row's weights [B, C]; None if it has none.

        The batch is one that was encoded for this prompt.
        """
        found = self._module.borrowed()
        weights = self._module.attention(replace(batch, tasks=(self._task,) * len(batch)))
        return None if found is None or weights is None else (found.columns, weights)

    def __len__(self) -> int:
        """P."""
        return self.card.length

    def with_card(self, card: PromptCard) -> "AdaptivePrompt":
        """The same under another card."""
        return AdaptivePrompt(self._module, card, self._task)


Runnable = Prompt | AdaptivePrompt | Ensemble
"""What a model is run with."""


def restore(
    state: ModuleState, model: FrozenModel, card: PromptCard
) -> AdaptivePrompt | Ensemble | None:
    """The value that a stored module stands for; None if the plain value beside it says all.

    Raises PromptgraftError for a module of a method that is not known here.
    """
    settings = state.settings
    if "method" not in settings:  # one that was kept to go on training
        return None
    if settings["method"] == ENSEMBLE:
        return Ensemble.restore(state, card).to(model.device)
    if settings["method"] not in METHODS.items:
        raise PromptgraftError(
            f"The prompt {card.title} is of the method {settings['method']!r}, which this "
            "promptgraft does not know. Upgrade it: pip install --upgrade promptgraft"
        )
    sites = {site: model.geometry.sites[site] for site in settings["sites"]}
    layout = Layout(settings["kind"], settings["length"], model.embedding_size, sites)
    names = tuple(settings["sources"])
    blank = {
        name: torch.zeros(len(names), layout.length, width)
        for name, width in layout.widths().items()
    }
    pool = Pool(names, (None,) * len(names), blank)
    given = Given(model, layout, pool, lambda: None, tuple(settings["tasks"]))
    with torch.random.fork_rng():
        kind = METHODS[settings["method"]]
        module = kind(given, kind.Settings.model_validate(settings["settings"]))
    if not module.adapts:
        return None
    module.load_state_dict(state.tensors)
    module.to(model.device)
    return AdaptivePrompt(module, card, settings["task"])


def frozen(module: Transfer, card: PromptCard, task: int = 0) -> Prompt | AdaptivePrompt:
    """What a method comes to for one of its target tasks: a plain value where one can hold it."""
    if module.adapts:
        return AdaptivePrompt(module, card, task)
    with torch.no_grad():
        return value_of(module.each()[task], card)


def stored(value: Runnable) -> tuple[Prompt, ModuleState | None]:
    """What a folder holds of it: a plain value, and what stands beside it if there is more."""
    if isinstance(value, AdaptivePrompt | Ensemble):
        return value.usual, value.state
    return value, None
