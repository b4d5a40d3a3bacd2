"""Several processes that tune one prompt together, as `accelerate launch` starts them.

Each computes its rows of every batch. The first one alone validates, reports and writes.
"""

import os
from collections.abc import Callable

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from promptgraft.errors import ConfigError


def first() -> bool:
    """Whether this is the first process, or the only one."""
    return os.environ.get("RANK", "0") == "0"


def several() -> bool:
    """Whether there are others."""
    return os.environ.get("WORLD_SIZE", "1") != "1"


def alone(what: str) -> None:
    """Raise ConfigError if there are others: they divide the rows of one prompt's batches."""
    if several():
        raise ConfigError(f"{what} runs in one process; start it without accelerate launch.")


def add_gradients(accelerator: Accelerator, module: nn.Module) -> None:
    """Sum every parameter's gradient over the processes; what none of them used keeps none.

    torch's DistributedDataParallel expects each of them to use every parameter, but a process may
    see no row of some task, or no row at all.
    """
    if accelerator.num_processes == 1:
        return
    for parameter in module.parameters():
        if parameter.requires_grad and any_of(accelerator, parameter.grad is not None):
            own = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            parameter.grad = accelerator.reduce(own, "sum")


def any_of(accelerator: Accelerator, here: bool) -> bool:
    """Whether it is so in any process."""
    if accelerator.num_processes == 1:
        return here
    found: Tensor = accelerator.reduce(torch.tensor(float(here), device=accelerator.device), "sum")
    return found.item() > 0


def from_first(accelerator: Accelerator, measure: Callable[[], float]) -> float:
    """What the first process measures, told to all, so that all decide alike."""
    if accelerator.num_processes == 1:
        return measure()
    value = measure() if accelerator.is_main_process else 0.0
    own = torch.tensor(value, dtype=torch.float64, device=accelerator.device)
    told: Tensor = accelerator.reduce(own, "sum")
    return told.item()
