"""A prompt of one model becomes a prompt of another, without training."""

import torch

import promptgraft
from promptgraft.errors import PromptgraftError
from promptgraft.models import FrozenModel
from promptgraft.prompts import Parent, Prompt, PromptCard, SoftPrompt, now
from promptgraft.transfer.across_models.anchors import shared_anchors
from promptgraft.transfer.across_models.relative import (
    matching_loss,
    relative_representation,
    search,
    to_scale,
)


def transfer(
    prompt: Prompt, source: FrozenModel, target: FrozenModel, template: str | None = None
) -> SoftPrompt:
    """Move a soft prompt to another model by its place among anchor words.

    template  for the target; default the source's own, if both models are of one family

    The new card names the prompt it came from and holds the matching loss, the number of anchors
    and the mean and deviation of the target's table. Raises WrongModelError if `prompt` is not
    `source`'s, PromptgraftError for a prefix, for models without common tokens and for numbers
    that are not finite.
    """
    if not isinstance(prompt, SoftPrompt):
        raise PromptgraftError(
            f"{prompt.card.title} is a prefix: keys and values of {source.name}'s own layers, "
            "which mean nothing to another model. Tune a soft prompt and transfer that."
        )
    source.check(prompt)
    anchors = shared_anchors([source, target])
    vectors = prompt.vectors.cpu().float()
    relative = relative_representation(vectors, anchors.columns[0])
    found = search(relative, anchors.columns[1])
    table = target.embed(torch.arange(len(target.tokenizer)))
    mean, deviation = table.mean().item(), table.std().item()
    moved = to_scale(found, mean, deviation)
    same_family = source.family == target.family
    card = PromptCard(
        kind="soft-prompt",
        length=len(prompt),
        base=target.reference,
        task=prompt.card.task,
        template=template or (prompt.card.template if same_family else None),
        verbalizer=prompt.card.verbalizer,
        method="transfer:relative",
        hyperparameters={
            "anchors": len(anchors.words),
            "matching_loss": matching_loss(moved, anchors.columns[1], relative),
            "table_mean": mean,
            "table_std": deviation,
        },
        data_hash=prompt.card.data_hash,
        parents=(
            Parent(
                name=prompt.card.title,
                content_hash=prompt.content_hash,
                relation="transferred-from",
            ),
        ),
        library_version=promptgraft.__version__,
        created=now(),
        licence=prompt.card.licence,
    )
    return SoftPrompt(moved, card)
