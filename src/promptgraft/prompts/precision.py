"""Prompts in fewer bytes: float16, bfloat16, or int8 with a scale for every vector."""

from collections.abc import Mapping
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from promptgraft.errors import PromptgraftError
from promptgraft.prompts.values import Prompt

Precision = Literal["float32", "float16", "bfloat16", "int8"]
_SCALE = ".scale"  # ends the name of the scales that belong to a tensor of int8


class RoundingError(NamedTuple):
    """How far a rounded prompt is from the prompt."""

    relative: float
    """Norm of the difference over the norm of the prompt."""
    largest: float
    """Of all the differences between two numbers."""


def pack(tensors: Mapping[str, Tensor], precision: Precision) -> dict[str, Tensor]:
    """Tensors as they are stored; for int8 each has its scales [..., 1] beside it.

    The scale of a vector is its largest number / 127. Raises PromptgraftError for an unknown
    precision.
    """
    if precision not in get_args(Precision):
        raise PromptgraftError(
            f"no precision {precision!r} to store a prompt in; "
            f"expected one of {', '.join(get_args(Precision))}."
        )
    packed = {}
    for name, tensor in tensors.items():
        exact = tensor.detach().to("cpu", torch.float32)
        if precision == "int8":
            scale = exact.abs().amax(-1, keepdim=True) / 127
            scale = torch.where(scale > 0, scale, 1.0)
            packed[name] = (exact / scale).round().clamp(-127, 127).to(torch.int8)
            packed[name + _SCALE] = scale.contiguous()
        else:
            packed[name] = exact.to(getattr(torch, precision)).contiguous()
    return packed


def unpack(packed: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What `pack` made, as float32. Raises PromptgraftError for int8 without scales."""
    tensors = {}
    for name, tensor in packed.items():
        if name.endswith(_SCALE):
            continue
        exact = tensor.float()
        if tensor.dtype == torch.int8:
            scale = packed.get(name + _SCALE)
            if scale is None or scale.shape != (*tensor.shape[:-1], 1):
                raise PromptgraftError(f"the int8 tensor '{name}' has no scales of its shape.")
            exact = exact * scale
        tensors[name] = exact
    return tensors


def rounded(prompt: Prompt, precision: Precision) -> Prompt:
    """The prompt that is read back after storing this one so; its card is the same."""
    return prompt._like(unpack(pack(prompt._tensors, precision)), prompt.card)


def rounding_error(prompt: Prompt, other: Prompt) -> RoundingError:
    """How far `other`, a rounded copy, is from `prompt`."""
    one, two = prompt.tensors(), other.tensors()
    apart = torch.cat([(one[name] - two[name]).flatten() for name in one])
    whole = torch.cat([tensor.flatten() for tensor in one.values()])
    relative = apart.norm() / whole.norm().clamp_min(torch.finfo(torch.float32).tiny)
    return RoundingError(relative.item(), apart.abs().max().item())
