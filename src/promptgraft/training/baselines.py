"""What prompts are compared with: the same loop, other parameters.

A baseline changes a model's weights or adds some. It works on a copy whose weights are float32 (the
products of a bfloat16 model stay in bfloat16) and is handed to the loop as if it were a prompt
module; the prompt that it emits is none.
"""

import copy
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from promptgraft.errors import ConfigError, did_you_mean
from promptgraft.models import Batch, FrozenModel, PromptTensors
from promptgraft.models.blocks import blocks
from promptgraft.modules.registry import Registry


class Baseline(nn.Module, ABC):
    """Some weights of a model, its own or new ones.

    model    a second `FrozenModel`, in float32, in which these weights are trained
    weights  these weights by their names in the model, with "/" for "."
    rate     the learning rate to begin with
    """

    rate: float

    def __init__(self, model: FrozenModel) -> None:
        super().__init__()
        own = nn.Module.float(copy.deepcopy(model.model))
        if model.dtype is torch.bfloat16:
            products = torch.autocast(model.device.type, torch.bfloat16)
            own.forward = products(own.forward)
        self.model = FrozenModel(
            own,
            model.tokenizer,
            model.name,
            max_length=model.encoder.max_length,
            fingerprint=model.reference.fingerprint,
        )
        self.total = sum(weight.numel() for weight in self.model.model.parameters())
        chosen = self.choose()
        self.weights = nn.ParameterDict(
            {
                name.replace(".", "/"): weight.requires_grad_(True)
                for name, weight in self.model.model.named_parameters()
                if name in chosen
            }
        )

    @abstractmethod
    def choose(self) -> set[str]:
        """The names of the weights to be trained, after adding them if they are new."""

    def forward(self, batch: Batch | None = None) -> PromptTensors:
        """No prompt."""
        return {}

    def trainable(self) -> int:
        """Number of trainable parameters."""
        return sum(weight.numel() for weight in self.weights.values())

    def share(self) -> float:
        """Trainable parameters beside those of the model as it was."""
        return self.trainable() / self.total

    def tensors(self) -> dict[str, Tensor]:
        """The trained weights by their names in the model."""
        return {name.replace("/", "."): w.detach() for name, w in self.weights.items()}

    def _names(self) -> Mapping[str, nn.Parameter]:
        return dict(self.model.model.named_parameters())


BASELINES: Registry[type[Baseline]] = Registry("baseline")


def build(name: str, model: FrozenModel, settings: Mapping[str, Any]) -> Baseline:
    """A baseline by name. Raises ConfigError for a setting that it does not have."""
    made: Callable[..., Baseline] = BASELINES[name]
    known = [own for own in inspect.signature(made).parameters if own != "model"]
    for own in settings:
        if own not in known:
            raise ConfigError(
                f"{name} has no setting {own!r}; it has {', '.join(known) or 'none'}."
                + did_you_mean(own, known)
            )
    return made(model, **settings)


@BASELINES.register("fine-tuning")
class FineTuning(Baseline):
    """All weights of the model."""

    rate = 5e-5

    def choose(self) -> set[str]:
        return set(self._names())


@BASELINES.register("top-layers")
class TopLayers(Baseline):
    """The last layers alone, of the decoder where there is one (FT-TOP2 in Prefix-Tuning)."""

    rate = 5e-5

    def __init__(self, model: FrozenModel, layers: int = 2) -> None:
        self.layers = layers
        super().__init__(model)

    def choose(self) -> set[str]:
        stack = list(blocks(self.model.model).values())[-1]
        if not 0 < self.layers <= len(stack):
            raise ConfigError(
                f"{self.model.name} has {len(stack)} layers; {self.layers} cannot be trained."
            )
        chosen = {id(w) for layer in stack[-self.layers :] for w in layer.parameters()}
        return {name for name, weight in self._names().items() if id(weight) in chosen}


@BASELINES.register("bitfit")
class BitFit(Baseline):
    """The biases alone (Ben Zaken et al. 2022)."""

    rate = 1e-3

    def choose(self) -> set[str]:
        chosen = {name for name in self._names() if name.endswith("bias")}
        if not chosen:
            raise ConfigError(f"{self.model.name} has no biases, so there is nothing for bitfit.")
        return chosen


class Bottleneck(nn.Module):
    """x + up(relu(down(norm(x)))), which begins as x."""

    def __init__(self, width: int, size: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.down, self.up = nn.Linear(width, size), nn.Linear(size, width)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, states: Tensor) -> Tensor:
        added: Tensor = self.up(self.down(self.norm(states)).relu())
        return states + added


@BASELINES.register("adapter")
class Adapter(Baseline):
    """A bottleneck behind every layer (Lin et al. 2020, ADAPTER in Prefix-Tuning).

    share  of the model's parameters that the bottlenecks have in all; their size follows from it
    """

    rate = 5e-5

    def __init__(self, model: FrozenModel, share: float = 0.03) -> None:
        self.wanted = share
        super().__init__(model)

    def choose(self) -> set[str]:
        layers = [layer for stack in blocks(self.model.model).values() for layer in stack]
        before = set(self._names())
        for layer in layers:
            width = self.model.model.config.hidden_size
            size = bottleneck_size(self.wanted, self.total, len(layers), width)
            layer.add_module("adapter", Bottleneck(width, size).to(self.model.device))
            layer.register_forward_hook(_adapted)
        return set(self._names()) - before


def _adapted(layer: nn.Module, _arguments: Any, output: Any) -> Any:
    """The layer's output with its first tensor, the states, adapted."""
    adapter = layer.get_submodule("adapter")
    if isinstance(output, tuple):
        return (adapter(output[0]), *output[1:])
    return adapter(output)


def bottleneck_size(share: float, total: int, layers: int, width: int) -> int:
    """The size at which bottlenecks come nearest to a share of `total` parameters, at least 1.

    One of size b has b (2 D + 1) + 3 D parameters: two maps and a norm.
    """
    return max(1, round((share * total / layers - 3 * width) / (2 * width + 1)))


@BASELINES.register("lora")
class LoRA(Baseline):
    """Low-rank updates of the attention's maps (Hu et al. 2022), through peft.

    targets  names of the layers that are updated; default: peft's for this kind of model
    """

    rate = 2e-4

    def __init__(
        self, model: FrozenModel, rank: int = 4, alpha: int = 32, targets: list[str] | None = None
    ) -> None:
        self.settings: dict[str, Any] = {"r": rank, "lora_alpha": alpha, "target_modules": targets}
        super().__init__(model)

    def choose(self) -> set[str]:
        try:
            from peft import LoraConfig, inject_adapter_in_model
        except ImportError:
            raise ConfigError(
                "The baseline lora needs the package peft: pip install 'promptgraft[peft]'."
            ) from None
        try:
            inject_adapter_in_model(LoraConfig(**self.settings), self.model.model)
        except ValueError as error:  # no default for this kind of model, or no layer of that name
            raise ConfigError(f"lora on {self.model.name}: {error} Name targets=[...].") from None
        return {name for name in self._names() if "lora_" in name}
