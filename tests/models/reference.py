"""What promptgraft's models are held against: the bare transformers model, fed by hand."""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import PreTrainedModel

from promptgraft.models import FrozenModel

Pieces = Sequence[list[int] | Tensor]  # token ids and virtual tokens, in their order


def bare(model: FrozenModel, attention: str = "eager") -> PreTrainedModel:
    """The same weights in a model that promptgraft has never touched."""
    config = copy.deepcopy(model.model.config)
    config._attn_implementation = attention
    fresh = type(model.model)(config)
    fresh.load_state_dict(model.model.state_dict())
    return fresh.to(model.dtype).train(False).requires_grad_(False)


def ids(model: FrozenModel, text: str) -> list[int]:
    return model.tokenizer(text, add_special_tokens=False)["input_ids"]


def lay(plain: PreTrainedModel, pieces: Pieces) -> Tensor:
    """Ids embedded, virtual tokens between them: [1, T, D]."""
    embed = plain.get_input_embeddings()
    parts = [
        piece if isinstance(piece, Tensor) else embed(torch.tensor(piece, dtype=torch.long))
        for piece in pieces
    ]
    return torch.cat(parts)[None]


def width(pieces: Pieces) -> int:
    return sum(len(piece) for piece in pieces)


def target_logits(
    plain: PreTrainedModel, before: Pieces, target: list[int], decoder: Pieces | None = None
) -> Tensor:
    """Logits [len(target), V] from which the target's tokens are predicted, one after the other.

    before   what the causal model, or the encoder, reads
    decoder  what the decoder reads before the target
    """
    own = before if decoder is None else decoder
    start = width(own) - 1
    if decoder is None:
        logits = plain(inputs_embeds=lay(plain, [*before, target])).logits[0]
    else:
        logits = plain(
            inputs_embeds=lay(plain, before),
            decoder_inputs_embeds=lay(plain, [*decoder, target]),
        ).logits[0]
    return logits[start : start + len(target)]


def nll(logits: Tensor, target: list[int]) -> Tensor:
    """-log p of every token: [len(target)]."""
    return -logits.log_softmax(-1)[torch.arange(len(target)), torch.tensor(target)]


def relative(one: Tensor, other: Tensor) -> float:
    """The largest difference, relative to the largest number."""
    assert one.shape == other.shape
    return ((one - other).abs().max() / other.abs().max().clamp(min=1e-12)).item()
