"""A checkpoint's own rules of writing, for rows that are written on one token at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import LogitsProcessorList
from transformers.modeling_outputs import BaseModelOutput

from promptgraft.models.batch import Encoded
from promptgraft.models.frozen import FrozenModel


@dataclass(frozen=True)
class Rules:
    """What a `generation_config` forces, forbids or makes less likely, for one row.

    start       [U]  what is written on, virtual tokens as padding
    processors  transformers' own; they may remember what they saw of the row
    """

    start: Tensor
    processors: LogitsProcessorList

    def __call__(self, written: Sequence[int], logits: Tensor) -> Tensor:
        """The logits [V] of the token behind those that were written, under the rules."""
        own = torch.tensor(written, dtype=torch.long, device=self.start.device)
        ids = torch.cat([self.start, own])[None]
        ruled: Tensor = self.processors(ids, logits[None].clone())[0]  # type: ignore[arg-type]
        return ruled


@torch.no_grad()
def rules_of(model: FrozenModel, row: Encoded, max_new_tokens: int) -> Rules | None:
    """The rules that `FrozenModel.generate` follows for a row by itself; None if there are none."""
    batch = model.collate([row], "left", max_new_tokens)
    inputs: dict[str, Any] = {"input_ids": batch.tokens}
    start = batch.tokens
    if batch.decoder_tokens is not None:
        start = batch.decoder_tokens
        states = torch.zeros(*batch.tokens.shape, 1, device=model.device)  # nothing is read
        inputs["encoder_outputs"] = BaseModelOutput(states)
    name = "input_ids" if batch.decoder_tokens is None else "decoder_input_ids"
    inputs[name] = start = start.where(start >= 0, model.encoder.pad)
    settings = model._generation({}) | {"max_new_tokens": max_new_tokens}
    processors = model.model.generate(**inputs, **settings, custom_generate=_processors)  # type: ignore[operator]
    return Rules(start[0], processors) if processors else None


def _processors(_model: Any, _ids: Tensor, logits_processor: LogitsProcessorList, **_: Any) -> Any:
    """In the place of a way to generate: how the scores would be processed."""
    return logits_processor
