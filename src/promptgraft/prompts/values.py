"""Prompts as immutable values: the numbers and their card."""

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, Never, Self, TypeVar

import torch
from torch import Tensor

from promptgraft.errors import PromptgraftError, WrongModelError
from promptgraft.prompts.card import Kind, Parent, PromptCard

SITES = {
    "causal": ("self",),
    "masked": ("self",),
    "seq2seq": ("encoder", "decoder", "cross"),
}


class _Value:
    """What soft prompts and prefixes have in common: named tensors and a card.

    Two prompts are equal if kind, shapes and every number (as float32, bit for bit) are equal;
    card, device and dtype do not count. Equal prompts have equal hashes.
    """

    kind: ClassVar[Kind]
    _axis: ClassVar[int]  # the axis of the virtual tokens
    _tensors: dict[str, Tensor]
    card: PromptCard

    def _set(self, tensors: Mapping[str, Tensor], card: PromptCard) -> Self:
        for name, tensor in tensors.items():
            if not torch.isfinite(tensor).all():
                bad = int((~torch.isfinite(tensor)).sum())
                raise PromptgraftError(
                    f"{self.kind} '{name}': {bad} of {tensor.numel()} numbers are NaN or infinite "
                    f"as {_dtype(tensor)}; expected finite numbers."
                )
        length = next(iter(tensors.values())).shape[self._axis]
        if (card.kind, card.length) != (self.kind, length):
            raise PromptgraftError(
                f"the card is for a {card.kind} of {card.length} virtual tokens, "
                f"the tensors are a {self.kind} of {length}."
            )
        self.__dict__.update(_tensors=dict(tensors), card=card)
        return self

    def _like(self, tensors: Mapping[str, Tensor], card: PromptCard) -> Self:
        return type(self).__new__(type(self))._set(tensors, card)

    def __setattr__(self, name: str, value: object) -> Never:
        raise AttributeError(f"a prompt is immutable; '{name}' cannot be set. Make a new prompt.")

    def __delattr__(self, name: str) -> Never:
        raise AttributeError(f"a prompt is immutable; '{name}' cannot be deleted.")

    def __len__(self) -> int:
        """P, the number of virtual tokens."""
        return self.card.length

    def __repr__(self) -> str:
        shapes = ", ".join(f"{name} {list(t.shape)}" for name, t in self._tensors.items())
        return f"{type(self).__name__}({self.card.title}: {shapes})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Value) and self.content_hash == other.content_hash

    def __hash__(self) -> int:
        return hash(self.content_hash)

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 (hex) over kind, names, shapes and the numbers as little-endian float32."""
        digest = hashlib.sha256(self.kind.encode())
        for name, tensor in sorted(self._tensors.items()):
            digest.update(f"\n{name} {list(tensor.shape)}\n".encode())
            numbers = tensor.to("cpu", torch.float32).contiguous().numpy()
            digest.update(numbers.astype("<f4", copy=False).tobytes())
        return digest.hexdigest()

    @property
    def device(self) -> torch.device:
        return next(iter(self._tensors.values())).device

    @property
    def dtype(self) -> torch.dtype:
        return next(iter(self._tensors.values())).dtype

    def tensors(self) -> dict[str, Tensor]:
        """Copies of the tensors by name: writing to them leaves the prompt as it is."""
        return {name: tensor.clone() for name, tensor in self._tensors.items()}

    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> Self:
        """The same prompt elsewhere. Rounding to a smaller dtype changes its content hash."""
        if dtype is not None and not dtype.is_floating_point:
            raise PromptgraftError(f"a prompt cannot be {dtype}; expected a floating dtype.")
        moved = {n: t.to(device=device, dtype=dtype) for n, t in self._tensors.items()}
        return self._like(moved, self.card)

    def with_card(self, card: PromptCard) -> Self:
        """The same numbers under another card."""
        return self._like(self._tensors, card)

    def __getitem__(self, part: slice) -> Self:
        """Some of the virtual tokens, e.g. `prompt[2:5]`; the card names this prompt as parent."""
        if not isinstance(part, slice):
            raise TypeError(f"a prompt takes slices such as prompt[2:5], not prompt[{part!r}].")
        tokens = list(range(len(self)))[part]
        if not tokens:
            raise PromptgraftError(
                f"slice {part.start}:{part.stop}:{part.step} of {len(self)} virtual tokens "
                "is empty; a prompt needs at least one."
            )
        index = torch.tensor(tokens, device=self.device)
        tensors = {n: t.index_select(self._axis, index) for n, t in self._tensors.items()}
        return self._like(tensors, _derived("slice", {"tokens": tokens}, [self], len(tokens)))


class SoftPrompt(_Value):
    """Virtual tokens for the input layer.

    vectors  [P, D]  any floating dtype and device; kept as a float32 copy on the CPU
    card             kind "soft-prompt", length P, base.embedding_size D
    """

    kind = "soft-prompt"
    _axis = 0

    def __init__(self, vectors: Tensor, card: PromptCard) -> None:
        if vectors.ndim != 2 or not vectors.numel():
            raise PromptgraftError(f"soft prompt of shape {list(vectors.shape)}; expected [P, D].")
        if vectors.shape[1] != card.base.embedding_size:
            raise PromptgraftError(
                f"soft prompt with {vectors.shape[1]}-dimensional virtual tokens; "
                f"{card.base.name} takes {card.base.embedding_size}."
            )
        self._set({"input": _float32_copy("input", vectors)}, card)

    @property
    def vectors(self) -> Tensor:
        """A copy of the virtual tokens [P, D]."""
        return self._tensors["input"].clone()


class Prefix(_Value):
    """Keys and values for the attention of every layer.

    sites  name to [L, 2, P, H_kv, d_head], keys at index 0 and values at index 1; any floating
           dtype and device, kept as float32 copies on the CPU. Names: "self" for causal and
           masked models; one or more of "encoder", "decoder", "cross" for sequence-to-sequence.
           L may differ between sites, P may not.
    card   kind "prefix", length P
    """

    kind = "prefix"
    _axis = 2

    def __init__(self, sites: Mapping[str, Tensor], card: PromptCard) -> None:
        allowed = SITES[card.base.family]
        if not sites or set(sites) - set(allowed):
            raise PromptgraftError(
                f"prefix for attention sites {sorted(sites)}; "
                f"a {card.base.family} model has {list(allowed)}."
            )
        for name, tensor in sites.items():
            if tensor.ndim != 5 or tensor.shape[1] != 2 or not tensor.numel():
                raise PromptgraftError(
                    f"prefix '{name}' of shape {list(tensor.shape)}; "
                    "expected [L, 2, P, H_kv, d_head]."
                )
        lengths = {name: tensor.shape[2] for name, tensor in sites.items()}
        if len(set(lengths.values())) > 1:
            raise PromptgraftError(
                f"prefix with different numbers of virtual tokens per site: {lengths}; "
                "expected the same P everywhere."
            )
        order = [name for name in allowed if name in sites]
        self._set({name: _float32_copy(name, sites[name]) for name in order}, card)

    @property
    def sites(self) -> dict[str, Tensor]:
        """Copies of the keys and values by attention site, each [L, 2, P, H_kv, d_head]."""
        return self.tensors()


Prompt = SoftPrompt | Prefix
AnyPrompt = TypeVar("AnyPrompt", SoftPrompt, Prefix)


def concat(*prompts: AnyPrompt) -> AnyPrompt:
    """The virtual tokens of several prompts for one model, one after the other.

    The result has the first one's device and dtype; its card names all of them as parents.
    """
    _check_fit("concat", prompts)
    first = prompts[0]
    tensors = {
        name: torch.cat([prompt._tensors[name].to(tensor) for prompt in prompts], first._axis)
        for name, tensor in first._tensors.items()
    }
    return first._like(tensors, _derived("concat", {}, prompts, sum(map(len, prompts))))


def mix(prompts: Sequence[AnyPrompt], weights: Sequence[float] | Tensor) -> AnyPrompt:
    """The weighted sum of prompts of one shape for one model; weights need not sum to one.

    The result has the first one's device and dtype; its card names all of them as parents.
    """
    _check_fit("mix", prompts)
    numbers = [float(weight) for weight in weights]
    if len(numbers) != len(prompts):
        raise PromptgraftError(f"mix of {len(prompts)} prompts with {len(numbers)} weights.")
    first = prompts[0]
    tensors = {}
    for name, tensor in first._tensors.items():
        total = torch.zeros_like(tensor)
        for prompt, weight in zip(prompts, numbers, strict=True):
            total += weight * prompt._tensors[name].to(tensor)
        tensors[name] = total
    return first._like(tensors, _derived("mix", {"weights": numbers}, prompts, len(first)))


def _float32_copy(name: str, tensor: Tensor) -> Tensor:
    if not tensor.is_floating_point():
        raise PromptgraftError(f"prompt '{name}' is {_dtype(tensor)}; expected floating numbers.")
    copy = torch.empty(tensor.shape, dtype=torch.float32)
    return copy.copy_(tensor.detach())


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _check_fit(verb: str, prompts: Sequence[_Value]) -> None:
    """Same kind, same model, same shapes; only to concatenate, P may differ."""
    if not prompts:
        raise PromptgraftError(f"{verb} of no prompts; expected at least one.")

    def form(prompt: _Value) -> dict[str, list[int | str]]:
        free = prompt._axis if verb == "concat" else None
        return {
            name: ["P" if axis == free else size for axis, size in enumerate(tensor.shape)]
            for name, tensor in prompt._tensors.items()
        }

    first = prompts[0]
    for other in prompts[1:]:
        if (first.kind, form(first)) != (other.kind, form(other)):
            raise PromptgraftError(
                f"cannot {verb} a {first.kind} {form(first)} with a {other.kind} {form(other)}; "
                "expected the same kind and shapes."
            )
        if not first.card.base.may_be(other.card.base):
            raise WrongModelError(
                f"cannot {verb} {first.card.title} with {other.card.title}: they belong to "
                "different models.\n"
                f"Move one first: promptgraft transfer {other.card.title} "
                f"--to {first.card.base.name}"
            )


def _derived(
    method: str, hyperparameters: dict[str, Any], parents: Sequence[_Value], length: int
) -> PromptCard:
    """The card of a prompt made from others: what they agree on, and who they are.

    Their metrics, seeds and notes say nothing about the new prompt and are left out.
    """
    first = parents[0].card
    shared = {
        field: getattr(first, field)
        for field in ("task", "template", "verbalizer", "licence")
        if all(getattr(parent.card, field) == getattr(first, field) for parent in parents)
    }
    relation = {"slice": "sliced-from", "concat": "concatenated-from", "mix": "mixed-from"}[method]
    return PromptCard(
        kind=first.kind,
        length=length,
        base=first.base,
        method=method,
        hyperparameters=hyperparameters,
        parents=tuple(
            Parent(name=parent.card.title, content_hash=parent.content_hash, relation=relation)
            for parent in parents
        ),
        **shared,
    )
