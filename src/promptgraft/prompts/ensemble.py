"""Several prompts of one model that vote."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from promptgraft.errors import BadFileError, PromptgraftError, WrongModelError
from promptgraft.prompts.card import ENSEMBLE, PromptCard
from promptgraft.prompts.storage import ModuleState
from promptgraft.prompts.values import Prefix, Prompt, SoftPrompt


class Ensemble:
    """Prompts of any kinds, lengths and templates; of the words to choose from, each gets the mean
    of the chances that they give it (prompt ensembling; Lester et al. 2021, section 6).

    It chooses; texts it does not write.

    usual  the first of them, under the ensemble's card: what a library lists and compares
    state  all of them, as they are stored beside it
    """

    def __init__(self, members: Sequence[Prompt], card: PromptCard) -> None:
        """card  of all of them; kind, length and template are those of the first

        Raises PromptgraftError without members, WrongModelError if their models differ.
        """
        if not members:
            raise PromptgraftError("An ensemble needs at least one prompt.")
        first = members[0].card
        for other in (member.card for member in members):
            if other.base.identity != first.base.identity:
                raise WrongModelError(
                    f"The prompts of an ensemble are for one model; {first.title} and "
                    f"{other.title} are for two."
                )
        own = {"kind": first.kind, "length": first.length, "template": first.template}
        self.members = tuple(members)
        self.card = card.model_copy(update=own)

    @property
    def usual(self) -> Prompt:
        return self.members[0].with_card(self.card)

    @property
    def state(self) -> ModuleState:
        # Model and data are on the ensemble's own card, which is published without paths.
        elsewhere: dict[str, Any] = {"base": True, "hyperparameters": {"data"}}
        cards = [one.card.model_dump(mode="json", exclude=elsewhere) for one in self.members]
        return ModuleState({"method": ENSEMBLE, "cards": cards}, self.tensors())

    def tensors(self) -> dict[str, Tensor]:
        """All members' tensors, by their number and name."""
        return {
            f"{number}.{name}": tensor
            for number, member in enumerate(self.members)
            for name, tensor in member.tensors().items()
        }

    def with_card(self, card: PromptCard) -> "Ensemble":
        """The same members under another card."""
        return Ensemble(self.members, card)

    def to(self, device: torch.device) -> "Ensemble":
        """The same elsewhere."""
        return Ensemble([member.to(device) for member in self.members], self.card)

    @classmethod
    def restore(cls, state: ModuleState, card: PromptCard) -> "Ensemble":
        """The ensemble that was stored. Raises BadFileError for what none was stored as."""
        members: list[Prompt] = []
        try:
            for number, fields in enumerate(state.settings["cards"]):
                own = PromptCard.model_validate({**fields, "base": card.base})
                mine = {
                    name.partition(".")[2]: tensor
                    for name, tensor in state.tensors.items()
                    if name.startswith(f"{number}.")
                }
                soft = own.kind == "soft-prompt"
                members.append(SoftPrompt(mine["input"], own) if soft else Prefix(mine, own))
            return cls(members, card)
        except (LookupError, TypeError, ValueError, PromptgraftError) as error:
            raise BadFileError(
                f"{card.title}: module.json and module.safetensors hold no ensemble ({error})."
            ) from error
