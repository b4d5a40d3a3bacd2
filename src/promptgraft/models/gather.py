"""The prompts of a batch, whatever form they were given in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from promptgraft.errors import PromptgraftError
from promptgraft.models.port import SitePrefix
from promptgraft.prompts import Prefix, SoftPrompt

PromptTensors = Mapping[str, Tensor]
"""What a module emits: "input" [P, D], or sites [L, 2, P, H_kv, d_head]; a leading B if per row."""

OnePrompt = SoftPrompt | Prefix | PromptTensors | Tensor | None
Prompts = OnePrompt | Sequence[OnePrompt]


@dataclass(frozen=True)
class Gathered:
    """The distinct prompts of a batch.

    tensors  each a mapping as `PromptTensors`
    of       which of them each row has; None: all rows have the first
    """

    tensors: list[PromptTensors]
    of: list[int] | None

    def index(self, rows: int) -> list[int]:
        """Which prompt each of `rows` rows has."""
        return self.of if self.of is not None else [0] * rows


def gather(prompts: Prompts, rows: int, device: torch.device) -> Gathered:
    """Bring one prompt, or one a row, to one form on one device.

    Raises PromptgraftError if the list is not as long as the batch.
    """
    if not isinstance(prompts, Sequence):
        return Gathered([_moved(prompts, device)], None)
    if len(prompts) != rows:
        raise PromptgraftError(
            f"Got {len(prompts)} prompts for {rows} rows; give one prompt a row, or one for all."
        )
    distinct = {id(prompt): prompt for prompt in prompts}
    place = {key: number for number, key in enumerate(distinct)}
    tensors = [_moved(prompt, device) for prompt in distinct.values()]
    return Gathered(tensors, [place[id(prompt)] for prompt in prompts])


def _moved(prompt: OnePrompt, device: torch.device) -> PromptTensors:
    return {name: tensor.to(device) for name, tensor in tensors_of(prompt).items()}


def tensors_of(prompt: OnePrompt) -> PromptTensors:
    """The tensors of one prompt by where they go."""
    if prompt is None:
        return {}
    if isinstance(prompt, Tensor):
        return {"input": prompt}
    if isinstance(prompt, (SoftPrompt, Prefix)):
        return prompt.tensors()
    return prompt


def length_of(prompt: OnePrompt) -> int:
    """Virtual tokens that the prompt puts into the input; 0 for a prefix."""
    vectors = tensors_of(prompt).get("input")
    return 0 if vectors is None else vectors.shape[-2]


def prefix_length_of(prompt: OnePrompt) -> int:
    """Virtual tokens that the prompt puts before the text's keys and values."""
    tensors = tensors_of(prompt)
    return max((t.shape[-3] for site, t in tensors.items() if site != "input"), default=0)


def batched_vectors(tensors: PromptTensors) -> Tensor | None:
    """[P, D] or [B, P, D] -> [1 or B, P, D]."""
    vectors = tensors.get("input")
    return None if vectors is None else vectors if vectors.ndim == 3 else vectors[None]


def batched_sites(tensors: PromptTensors) -> dict[str, Tensor]:
    """Every site as [1 or B, L, 2, P, H_kv, d_head]."""
    return {
        site: tensor if tensor.ndim == 6 else tensor[None]
        for site, tensor in tensors.items()
        if site != "input"
    }


def merge_vectors(vectors: Sequence[Tensor | None], index: Sequence[int]) -> Tensor | None:
    """Soft prompts of different lengths, one a row: [B, longest P, D], short ones padded."""
    longest = max((v.shape[1] for v in vectors if v is not None), default=0)
    if longest == 0:
        return None
    some = next(v for v in vectors if v is not None)
    padded = [
        some.new_zeros(1, longest, some.shape[2])
        if v is None
        else pad(v, (0, 0, 0, longest - v.shape[1]))
        for v in vectors
    ]
    return torch.cat(padded)[list(index)]


def merge_sites(
    prefixes: Sequence[Mapping[str, Tensor]], index: Sequence[int]
) -> dict[str, SitePrefix]:
    """Prefixes of different lengths, one a row: padded on the left, with masks.

    prefixes  for each distinct prompt its sites [1, L, 2, P, H_kv, d_head]; index [B]
    """
    merged = {}
    for site in {site for prefix in prefixes for site in prefix}:
        tensors = [prefix.get(site) for prefix in prefixes]
        some = next(t for t in tensors if t is not None)
        longest = max(t.shape[3] for t in tensors if t is not None)
        lengths = [0 if t is None else t.shape[3] for t in tensors]
        shape = (*some.shape[:3], longest, *some.shape[4:])
        padded = [
            some.new_zeros(shape) if t is None else pad(t, (0, 0, 0, 0, longest - t.shape[3], 0))
            for t in tensors
        ]
        chosen = torch.tensor(list(index), device=some.device)
        places = torch.arange(longest, device=some.device)
        starts = torch.tensor([longest - n for n in lengths], device=some.device)
        visible = places[None] >= starts[chosen][:, None]
        merged[site] = SitePrefix(torch.cat(padded)[chosen], None if visible.all() else visible)
    return merged
