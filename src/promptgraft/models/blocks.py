"""The layers of a model, for what is added to them or taken from them."""

from torch import nn
from transformers import PreTrainedModel


def blocks(model: PreTrainedModel) -> dict[str, list[nn.Module]]:
    """The transformer layers by stack, from the bottom up: one stack, or the encoder's and the
    decoder's. A layer that a model runs several times (ALBERT) is there once."""
    found: dict[str, list[nn.Module]] = {}
    for name, module in model.named_modules():
        inside = any(name.startswith(f"{outer}.") for outer in found)
        if isinstance(module, nn.ModuleList) and not inside and _attends(module):
            found[name] = list(module)
    return found


def _attends(layers: nn.Module) -> bool:
    return any("Attention" in type(module).__name__ for module in layers.modules())
