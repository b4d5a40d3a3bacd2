"""The learning rate along a run, as a function of the step alone, so that resuming is exact."""

import math
from typing import Literal


def rate(
    step: int, steps: int, warmup: float, kind: Literal["linear", "cosine", "constant"]
) -> float:
    """Factor on the learning rate at `step` (0-based) of `steps`: up linearly, then by `kind`."""
    rising = round(warmup * steps)
    if step < rising:
        return (step + 1) / rising
    done = (step - rising) / max(1, steps - rising)
    if kind == "linear":
        return 1 - done
    if kind == "cosine":
        return 0.5 * (1 + math.cos(math.pi * done))
    return 1.0
