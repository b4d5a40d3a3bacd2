"""Gradient checkpointing: layers forget what they computed and compute it again going back.

transformers checkpoints models in training mode alone, which a frozen model never is in, and knows
nothing of prompts: what was attached to the port is attached again while a layer is recomputed.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel

from promptgraft.models.blocks import blocks
from promptgraft.models.port import Port


def install(model: PreTrainedModel, port: Port) -> None:
    """Wrap the layers of a model; they are checkpointed while `port.checkpointing` says so."""
    for stack in blocks(model).values():
        for layer in stack:
            layer.forward = partial(_forward, layer.forward, port)


def _forward(forward: Callable[..., Any], port: Port, *arguments: Any, **keywords: Any) -> Any:
    if not (port.checkpointing and torch.is_grad_enabled()):
        return forward(*arguments, **keywords)
    then = replace(port, calls=dict(port.calls), recorded=None)

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), port.as_it_was(then)

    return checkpoint(
        forward,
        *arguments,
        use_reentrant=False,
        preserve_rng_state=False,  # a frozen model has no dropout
        context_fn=contexts,
        **keywords,
    )
