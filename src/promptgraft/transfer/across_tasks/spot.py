"""SPoT (Vu et al. 2022): a prompt starts from the prompts of other tasks, then is tuned plainly."""

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from promptgraft.models import Batch, PromptTensors
from promptgraft.transfer.across_tasks.learned import Fixed
from promptgraft.transfer.across_tasks.method import Borrowed, Given, Settings, Transfer, register
from promptgraft.transfer.across_tasks.similarity import SIMILARITIES, vectors

MOST = 512  # training rows that are looked at under every source


class SPoTSettings(Settings):
    """How the start is chosen."""

    variant: Literal["generic", "targeted", "fitting"] = "targeted"
    """generic: the mean of the pool (of one prompt tuned on a mixture of tasks, that prompt).
    targeted: the sources most similar to a plain prompt that is tuned for the target briefly.
    fitting (not of the paper): the sources under which the training rows have the least loss as
    they are."""
    top: int = Field(default=1, gt=0)
    """targeted: so many of the most similar, weighted by their similarity; fitting: so many of
    the best, weighted alike."""
    similarity: Literal["cosine", "tokens", "euclidean", "normalised"] = "cosine"
    probe_steps: int = Field(default=100, gt=0)
    """targeted: steps of that brief tuning."""

    @property
    def rate(self) -> float:
        return 0.03


@register("spot")
class SPoT(Transfer):
    """One table [P, width] for the input or for each site, started from the pool."""

    Settings: ClassVar = SPoTSettings

    def __init__(self, given: Given, settings: SPoTSettings) -> None:
        super().__init__(given, settings)
        pool = given.pool.stack()
        self.pool = Fixed(pool)
        self.register_buffer("weights", _weights(given, settings))
        start = {n: torch.einsum("s,spw->pw", self.weights, table) for n, table in pool.items()}
        self.tables = nn.ParameterDict(start)

    def forward(self, batch: Batch | None = None) -> PromptTensors:
        return self.layout.shape(dict(self.tables.items()))

    def borrowed(self) -> Borrowed:
        """The weights of the sources in the start."""
        return Borrowed(self.sources, self.get_buffer("weights")[None], vectors(self.pool())[None])


def _weights(given: Given, settings: SPoTSettings) -> Tensor:
    """[S], summing to one."""
    count = len(given.pool)
    if settings.variant == "fitting" and given.rows:
        least = _fitting(given).topk(min(settings.top, count), largest=False).indices
        return torch.zeros(count).index_fill(0, least, 1 / len(least))
    if settings.variant == "generic" or count == 1 or given.probe is None:
        return torch.full((count,), 1 / count)
    probed = {name: table[None].cpu() for name, table in given.probe(settings.probe_steps).items()}
    like = SIMILARITIES[settings.similarity]
    similar = like(vectors(given.pool.stack()), vectors(probed))[:, 0]
    best = similar.topk(min(settings.top, count)).indices
    weights = torch.zeros(count)
    weights[best] = similar[best].clamp(min=1e-6)  # unlike ones are not subtracted
    return weights / weights.sum()


@torch.no_grad()
def _fitting(given: Given) -> Tensor:
    """The loss of the training rows under each source, untuned: [S], nats."""
    rows = given.rows[:MOST]
    batches = [given.model.collate(rows[start : start + 32]) for start in range(0, len(rows), 32)]
    pool = given.pool.stack()
    losses = []
    for number in range(len(given.pool)):
        source = given.layout.shape({name: table[number] for name, table in pool.items()})
        losses.append(sum(given.model.loss(batch, source, "sum").item() for batch in batches))
    return torch.tensor(losses)
