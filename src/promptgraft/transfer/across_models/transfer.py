"""Prompts of one task, made for some models, become a prompt of another one, without training."""

from collections.abc import Sequence

import torch
from torch import Tensor

import promptgraft
from promptgraft.errors import ConfigError, PromptgraftError
from promptgraft.models import FrozenModel
from promptgraft.modules.initialisers import fit
from promptgraft.prompts import Parent, Prompt, PromptCard, SoftPrompt, now
from promptgraft.transfer.across_models.method import METHODS, Method, Sent, Space
from promptgraft.transfer.across_models.move import move
from promptgraft.transfer.across_models.recipes import DEFAULT
from promptgraft.transfer.across_models.trust import trust


def transfer(
    prompts: Sequence[Prompt],
    sources: Sequence[FrozenModel],
    target: FrozenModel,
    method: Method | None = None,
    template: str | None = None,
    repair_lengths: bool = False,
) -> SoftPrompt:
    """Move a soft prompt, or several of one task (Eq. 7), to another model.

    sources         the model of each prompt
    method          default `recipes.DEFAULT`
    template        for the target; default the first source's own, if it is of the target's family
    repair_lengths  repeat or cut prompts to the length of the first, where they differ

    The new card names the prompts it came from and the method with its settings, and holds what
    says how far to trust it (see `Trust`). Raises WrongModelError if a prompt is not of its
    source, PromptgraftError for a prefix, for prompts of different lengths or of zeros alone, for
    models without common tokens and for numbers that are not finite.
    """
    method = method or DEFAULT
    vectors = _vectors(prompts, sources, repair_lengths)
    words = method.words([*sources, target])
    sent = [Sent(v, Space.of(m, words)) for v, m in zip(vectors, sources, strict=True)]
    place = Space.of(target, words)
    moved = move(method, sent, place)
    if not torch.isfinite(moved).all():
        raise PromptgraftError(
            f"Moving {prompts[0].card.title} to {target.name} gave numbers that are not finite."
        )
    card = prompts[0].card
    same_family = sources[0].family == target.family
    return SoftPrompt(
        moved,
        PromptCard(
            kind="soft-prompt",
            length=len(moved),
            base=target.reference,
            task=card.task,
            template=template or (card.template if same_family else None),
            verbalizer=card.verbalizer,
            method=f"transfer:{METHODS.name_of(type(method))}",
            hyperparameters={
                "transfer": method.model_dump(mode="json"),
                "trust": trust(moved, sent, place, method).model_dump(),
                "labels_used": False,
            },
            data_hash=card.data_hash,
            parents=tuple(
                Parent(
                    name=prompt.card.title,
                    content_hash=prompt.content_hash,
                    relation="transferred-from",
                )
                for prompt in prompts
            ),
            library_version=promptgraft.__version__,
            created=now(),
            licence=card.licence,
        ),
    )


def _vectors(
    prompts: Sequence[Prompt], sources: Sequence[FrozenModel], repair: bool
) -> list[Tensor]:
    """The virtual tokens [P, D_s] of each prompt, of one length."""
    if not prompts or len(prompts) != len(sources):
        raise ConfigError(f"{len(prompts)} prompts for {len(sources)} source models; one each.")
    vectors = []
    for prompt, source in zip(prompts, sources, strict=True):
        if not isinstance(prompt, SoftPrompt):
            raise PromptgraftError(
                f"{prompt.card.title} is a prefix: keys and values of {source.name}'s own layers, "
                "which mean nothing to another model. Tune a soft prompt and transfer that."
            )
        source.check(prompt)
        if not prompt.vectors.any():
            raise PromptgraftError(
                f"The virtual tokens of {prompt.card.title} are all zeros: they lie in no "
                f"direction among the words of {source.name}, so nothing says where to move them."
            )
        vectors.append(prompt.vectors.cpu().float())
    lengths = [len(one) for one in vectors]
    if len(set(lengths)) > 1 and not repair:
        raise ConfigError(
            f"The prompts have {', '.join(map(str, lengths))} virtual tokens; several sources "
            "need one length. Tune them alike, or repeat and cut them with --repair-lengths."
        )
    return [fit(one, lengths[0]) for one in vectors]
