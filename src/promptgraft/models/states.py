"""What a frozen model makes of texts without a prompt, or of single vectors: one vector each."""

import contextlib
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from promptgraft.models.prompted import PromptedModel


@torch.no_grad()
def mean_states(model: PromptedModel, texts: Sequence[str], batch_size: int = 32) -> Tensor:
    """The top layer's mean over the tokens of each text (a seq2seq model's encoder's).

    Special tokens that the model puts around a text count; a text that is too long is cut.

    returns  [texts, width], float32, on the model's device
    """
    encoder = model.encoder
    room = encoder.max_length - len(encoder.first) - len(encoder.last)
    ids = [
        [*encoder.first, *tokens[:room], *encoder.last] or [encoder.pad]
        for tokens in encoder.tokenize(texts)
    ]
    reader = _reader(model)
    order = sorted(range(len(ids)), key=lambda number: len(ids[number]))
    found: list[Tensor] = [torch.empty(0)] * len(ids)
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        width = max(len(ids[number]) for number in chosen)
        padded = [ids[n] + [encoder.pad] * (width - len(ids[n])) for n in chosen]
        lengths = torch.tensor([len(ids[number]) for number in chosen])
        mask = (torch.arange(width) < lengths[:, None]).to(model.device)
        tokens = torch.tensor(padded, device=model.device)
        states = reader(input_ids=tokens, attention_mask=mask).last_hidden_state.float()
        means = (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        for number, mean in zip(chosen, means, strict=True):
            found[number] = mean
    return torch.stack(found)


@torch.no_grad()
def lone_states(model: PromptedModel, vectors: Tensor, batch_size: int = 512) -> Tensor:
    """What the first layer makes of each vector, as the only token between the special ones.

    vectors  [N, D]  in the place of token embeddings
    returns  [N, hidden size], float32, on the CPU
    """
    first, last = model.encoder.first, model.encoder.last
    ids = torch.tensor([[*first, -1, *last]], device=model.device)
    reader = _reader(model)
    layers = next(part for part in reader.modules() if isinstance(part, nn.ModuleList))
    found: list[Tensor] = []

    def take(layer: nn.Module, inputs: object, output: Any) -> None:
        states = output[0] if isinstance(output, tuple) else output
        found.append(states[:, len(first)].float().cpu())
        raise _Enough

    hook = layers[0].register_forward_hook(take)
    try:
        for part in torch.split(vectors.to(model.device), batch_size):
            with model.port.attached(part[:, None]), contextlib.suppress(_Enough):
                reader(input_ids=ids.expand(len(part), -1))
    finally:
        hook.remove()
    return torch.cat(found)


class _Enough(Exception):
    """The layers above need not run."""


def _reader(model: PromptedModel) -> Any:
    """The part of the model that reads a text."""
    return model.model.get_encoder() if model.family == "seq2seq" else model.model.base_model
