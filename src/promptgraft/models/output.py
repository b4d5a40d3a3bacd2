"""The output layer: the loss at labelled positions without ever holding all of their logits.

Logits are the largest tensor of a step by far: [N, V] beside hidden states of [N, D]. Here they
exist for a few positions at a time, and the gradient is taken while they are at hand.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from transformers import PreTrainedModel

# Positions at a time. Every part reads the layer's weights anew, so it should not be small.
POSITIONS = {"cpu": 256}
POSITIONS_ELSEWHERE = 1024


def is_plain(model: PreTrainedModel, layer: nn.Module) -> bool:
    """Whether the output layer is a linear map whose results are the model's logits as they are.

    Not so where a model bends, scales or shifts them (Gemma 2, Cohere), where the layer is
    quantised or adapted, or where its weights live on another device. Runs the model on one token.
    """
    if type(layer) is not nn.Linear or hasattr(layer, "_hf_hook"):
        return False
    seen: list[Tensor] = []
    hook = layer.register_forward_hook(lambda _layer, _arguments, output: seen.append(output))
    token = torch.zeros(1, 1, dtype=torch.long, device=layer.weight.device)
    inputs = {"input_ids": token}
    if model.config.is_encoder_decoder:
        inputs["decoder_input_ids"] = token
    try:
        with torch.no_grad():
            logits = model(**inputs, use_cache=False).logits
    finally:
        hook.remove()
    return len(seen) == 1 and torch.equal(logits, seen[0])


def cross_entropy(hidden: Tensor, layer: nn.Linear, labels: Tensor) -> Tensor:
    """Cross-entropy in nats, summed over the labels: float32, differentiable in `hidden` alone.

    hidden [N, D], labels [N]
    """
    loss: Tensor = _CrossEntropy.apply(hidden, layer.weight, layer.bias, labels)  # type: ignore[no-untyped-call]
    return loss


class _CrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, labels: Tensor
    ) -> Tensor:
        gradient = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        total = torch.zeros((), device=hidden.device)
        most = POSITIONS.get(hidden.device.type, POSITIONS_ELSEWHERE)
        parts = max(1, -(-len(hidden) // most))
        room = torch.empty(-(-len(hidden) // parts), len(weight), device=hidden.device)
        slopes = (None,) * parts if gradient is None else gradient.tensor_split(parts)
        for states, own, slope in zip(
            hidden.tensor_split(parts), labels[:, None].tensor_split(parts), slopes, strict=True
        ):
            logits = nn.functional.linear(states, weight, bias)
            if logits.dtype != torch.float32:
                logits = room[: len(logits)].copy_(logits)
            chosen = logits.gather(1, own)
            highest = logits.amax(1, keepdim=True)
            odds = logits.sub_(highest).exp_()
            sums = odds.sum(1, keepdim=True)
            total += (sums.log() + highest - chosen).sum()
            if slope is not None:
                wrong = odds.div_(sums).scatter_add_(1, own, torch.full_like(sums, -1.0))
                torch.mm(wrong.to(weight.dtype), weight, out=slope)
        if gradient is not None:
            ctx.save_for_backward(gradient)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor, None, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * outer.to(gradient.dtype), None, None, None
