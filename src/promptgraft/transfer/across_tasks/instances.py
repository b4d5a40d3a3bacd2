"""What a method sees of an instance: its source, without the prompt and without the answer."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from promptgraft.models import IGNORED, Batch, Encoded, Family, FrozenModel
from promptgraft.models.states import mean_states
from promptgraft.transfer.cache import cached

Source = tuple[int, ...]
MOST_MET = 1000  # sources outside of the data set whose encodings are kept
DATA_SETS = 64  # whose encodings are kept on disk


def sources(batch: Batch, family: Family) -> list[Source]:
    """The ids of each row's source, the shared beginning among them.

    In a causal model the answer follows in the same sequence: the source ends where the answer is
    first predicted from. So a row has the same source in training, scoring and generation.
    """
    read = batch.mask & (batch.tokens >= 0)
    if family == "causal":
        asked = (batch.labels != IGNORED).long()
        read &= (asked.cumsum(1) - asked) == 0  # up to the first label, which is of the source
    heads = [tuple(token for token in head.tolist() if token >= 0) for head in batch.heads]
    of = batch.head_of or (None,) * len(batch)
    return [
        (heads[head] if head is not None else ()) + tuple(ids[own].tolist())
        for head, ids, own in zip(of, batch.tokens.cpu(), read.cpu(), strict=True)
    ]


class PooledEmbeddings:
    """The largest of the source's input embeddings in each dimension (ATTEMPT)."""

    def __init__(self, model: FrozenModel) -> None:
        self.model = model

    def __deepcopy__(self, memo: dict[int, Any]) -> "PooledEmbeddings":
        return self  # the copy of a module reads with the same frozen model

    def __call__(self, batch: Batch) -> Tensor:
        """[B, D]."""
        model = self.model
        ids = [row or (model.encoder.pad,) for row in sources(batch, model.family)]
        flat = model.embed(torch.tensor([token for row in ids for token in row]))
        return torch.stack([part.amax(0) for part in torch.split(flat, list(map(len, ids)))])


class Encodings:
    """Mean top-layer states of sources under a frozen encoder (PTG, Eq. 3).

    Those of a data set are computed once, of others the newest are kept: a server meets new ones
    for ever.

    model    whose ids the sources are in
    encoder  what encodes their text; default the same model
    """

    def __init__(self, model: FrozenModel, encoder: FrozenModel | None = None) -> None:
        self.model, self.encoder = model, encoder or model
        self.width = mean_states(self.encoder, [""]).shape[1]
        self.known: dict[Source, Tensor] = {}
        self.met: dict[Source, Tensor] = {}

    def __deepcopy__(self, memo: dict[int, Any]) -> "Encodings":
        return self  # a cache; the copy of a module shares it

    def __call__(self, batch: Batch) -> Tensor:
        """[B, width]."""
        ids = sources(batch, self.model.family)
        new = [one for one in dict.fromkeys(ids) if one not in self.known and one not in self.met]
        if new:
            self.met |= zip(new, self._encode(new), strict=True)
        found = [self.known[one] if one in self.known else self.met[one] for one in ids]
        for oldest in list(self.met)[:-MOST_MET]:
            del self.met[oldest]
        return torch.stack(found).to(self.model.device)

    def of_rows(self, rows: Sequence[Encoded]) -> Tensor:
        """[rows, width] of a whole data set, kept on disk for the next run."""
        batches = [
            self.model.collate(rows[start : start + 256]) for start in range(0, len(rows), 256)
        ]
        ids = [source for batch in batches for source in sources(batch, self.model.family)]
        new = list(dict.fromkeys(ids))
        names = (self.model.reference.fingerprint, self.encoder.reference.fingerprint)
        facts = (*names, self.encoder.dtype, new)
        shape = len(new), self.width
        encoded = cached("encodings", facts, shape, lambda: self._encode(new), DATA_SETS)
        self.known |= dict(zip(new, encoded, strict=True))
        return torch.stack([self.known[source] for source in ids])

    def _encode(self, new: Sequence[Source]) -> Tensor:
        texts = self.model.tokenizer.batch_decode(list(map(list, new)), skip_special_tokens=True)
        return mean_states(self.encoder, [text.strip() for text in texts]).cpu()
