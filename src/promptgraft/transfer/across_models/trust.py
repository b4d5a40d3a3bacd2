"""How far to trust a moved prompt, without a single label."""

from collections.abc import Sequence

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor
from torch.nn.functional import normalize

from promptgraft.transfer.across_models.method import Method, Sent, Space, tokens_of
from promptgraft.transfer.across_models.move import move
from promptgraft.transfer.across_models.relative import (
    matching_loss,
    relative_representation,
    relatives,
    several,
)


class Trust(BaseModel):
    """What can be measured of a transfer when nothing is known of the task."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    matching_loss: float
    """1 - cosine between the moved prompt's representation and the sources', over all anchors."""
    anchors: int
    coverage: float
    """The anchors' share of the target's tokens."""
    mean_to_std: float
    """|mean| / deviation of the target's table: where it is large, Eq. 6 changes directions."""
    spread: float | None
    """1 - cosine between what the sources give alone, mean over pairs; None with one source."""


def trust(moved: Tensor, sent: Sequence[Sent], target: Space, method: Method) -> Trust:
    """Measure a prompt [P, D_t] that `method` made of the sources."""
    relative = several(relatives(sent))
    count = min(len(moved), len(relative))  # a manual text has a length of its own
    found = relative_representation(moved[:count], target.anchors)
    return Trust(
        matching_loss=matching_loss(found, relative[:count]).item(),
        anchors=len(target.words),
        coverage=len(set(tokens_of(target.words, target.model).tolist())) / len(target.table),
        mean_to_std=(target.table.mean().abs() / target.table.std()).item(),
        spread=_spread([move(method, [one], target) for one in sent]) if len(sent) > 1 else None,
    )


def _spread(alone: Sequence[Tensor]) -> float:
    """1 - cosine of the prompts [P, D], mean over their pairs and rows."""
    units = normalize(torch.stack(list(alone)), dim=-1)
    cosines = torch.einsum("apd,bpd->abp", units, units).mean(-1)
    count = len(alone)
    return 1 - ((cosines.sum() - count) / (count * (count - 1))).item()
