"""The output layer: the loss at labelled positions without ever holding all of their logits.

Logits are the largest tensor of a step by far: [N, V] beside hidden states of [N, D]. Here they
exist for some positions at a time, in the same memory, and the gradient is taken while they are at
hand.
"""

import threading
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from transformers import PreTrainedModel

ROOM = 2**27  # bytes of float32 logits at a time; each part reads the layer's weights anew

_kept = threading.local()


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
        parts = max(1, -(-len(hidden) * len(weight) * torch.float32.itemsize // ROOM))
        size = -(-len(hidden) // parts), len(weight)
        exact, product = (
            _room(kind, size, hidden.device) for kind in (torch.float32, weight.dtype)
        )
        narrow = weight.dtype != torch.float32
        slopes = (None,) * parts if gradient is None else gradient.tensor_split(parts)
        for states, own, slope in zip(
            hidden.tensor_split(parts), labels[:, None].tensor_split(parts), slopes, strict=True
        ):
            given = product[: len(states)]
            if bias is None:
                torch.mm(states, weight.T, out=given)
            else:
                torch.addmm(bias, states, weight.T, out=given)
            logits = exact[: len(states)].copy_(given) if narrow else given
            chosen = logits.gather(1, own)
            highest = logits.amax(1, keepdim=True)
            odds = logits.sub_(highest).exp_()
            sums = odds.sum(1, keepdim=True)
            total += (sums.log() + highest - chosen).sum()
            if slope is not None:
                wrong = odds.div_(sums).scatter_add_(1, own, torch.full_like(sums, -1.0))
                torch.mm(given.copy_(wrong) if narrow else wrong, weight, out=slope)
        if gradient is not None:
            ctx.save_for_backward(gradient)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor, None, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * outer.to(gradient.dtype), None, None, None


def _room(dtype: torch.dtype, size: tuple[int, int], device: torch.device) -> Tensor:
    """Memory for logits, on a processor kept from step to step: new memory costs as much there as
    what is computed in it."""
    if device.type != "cpu":
        return torch.empty(size, dtype=dtype, device=device)
    kept: dict[torch.dtype, Tensor] = _kept.__dict__.setdefault("rooms", {})
    if dtype not in kept or kept[dtype].numel() < size[0] * size[1]:
        kept[dtype] = torch.empty(size[0] * size[1], dtype=dtype)
    return kept[dtype][: size[0] * size[1]].view(size)
