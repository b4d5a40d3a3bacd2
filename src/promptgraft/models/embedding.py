"""Soft prompts enter here: in the embedding layer, negative ids become vectors of the prompt."""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from promptgraft.errors import PromptgraftError
from promptgraft.models.port import Port, rows


def install(model: PreTrainedModel, port: Port) -> None:
    """Hook every embedding layer that reads a token table (the encoder's, the decoder's)."""
    readers = [model]
    if model.config.is_encoder_decoder:
        readers += [model.get_encoder(), model.get_decoder()]  # type: ignore[no-untyped-call]
    tables = [reader.get_input_embeddings().weight for reader in readers]
    for module in model.modules():
        if isinstance(module, nn.Embedding) and any(module.weight is table for table in tables):
            seat = _Seat(port)
            module.register_forward_pre_hook(seat.before)
            module.register_forward_hook(seat.after)


class _Seat:
    """One embedding layer's hooks; they carry the virtual ids past the look-up."""

    def __init__(self, port: Port) -> None:
        self.port = port
        self.ids: Tensor | None = None
        self.changes: Tensor | None = None

    def before(self, _module: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        ids: Tensor = arguments[0]
        self.changes, self.port.changes = self.port.changes, None  # the first look-up's alone
        # An encoder without virtual tokens must not be dragged into the prompt's backward pass.
        if self.port.vectors is None or not (ids < 0).any():
            return arguments
        self.ids = ids
        return (ids.clamp(min=0), *arguments[1:])

    def after(self, _module: nn.Module, _arguments: tuple[Any, ...], output: Tensor) -> Tensor:
        ids, self.ids = self.ids, None
        if ids is not None and self.port.vectors is not None:
            output = insert(output, ids, self.port.vectors)
        changes, self.changes = self.changes, None
        return output if changes is None else output + rows(changes, len(output)).to(output.dtype)


def insert(embedded: Tensor, ids: Tensor, vectors: Tensor) -> Tensor:
    """Put vector n of the prompt wherever the id is -1 - n.

    embedded [B, T, D], ids [B, T], vectors [B or 1 or a divisor of B, P, D]; returns [B, T, D].
    """
    if vectors.shape[-1] != embedded.shape[-1]:
        raise PromptgraftError(
            f"The prompt has {vectors.shape[-1]}-dimensional virtual tokens, the model takes "
            f"{embedded.shape[-1]}. Move the prompt to this model first: promptgraft transfer."
        )
    virtual = ids < 0
    places = (-1 - ids).clamp(min=0)
    vectors = vectors.to(embedded.dtype)
    if vectors.shape[0] == 1:
        inserted = vectors[0][places]
    else:
        batch = torch.arange(ids.shape[0], device=ids.device)
        inserted = rows(vectors, ids.shape[0])[batch[:, None], places]
    return torch.where(virtual[..., None], inserted, embedded)


def placed(changes: Tensor, text: Tensor) -> Tensor:
    """Change n for the n-th token of a row's text, zeros for all others.

    changes [B or 1, M, D], text [B, T] bool; returns [B, T, D].
    """
    places = text.cumsum(1) - 1
    changed = text & (places < changes.shape[1])
    batch = torch.arange(len(text), device=text.device)[:, None]
    return rows(changes, len(text))[batch, places.where(changed, 0)] * changed[..., None]
