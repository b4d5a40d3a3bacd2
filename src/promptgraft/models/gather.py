"""The prompts of a batch, whatever form they were given in."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor
from torch.nn.functional import pad

from promptgraft.errors import PromptgraftError
from promptgraft.models.batch import Batch
from promptgraft.models.geometry import Geometry
from promptgraft.models.port import SitePrefix
from promptgraft.prompts import Ensemble, Prefix, PromptCard, SoftPrompt

PromptTensors = Mapping[str, Tensor]
"""What a module emits: "input" [P, D], or sites [L, 2, P, H_kv, d_head]; a leading B if per row.

With either there may be "text" [M, D]: added to the embeddings of the first M tokens of the text
(see `batch.text_of`).
"""

Emitter = Callable[..., PromptTensors | Sequence[PromptTensors]]
"""What looks at a batch and says which prompt each of its rows gets, such as a prompt module.

Called without a batch it gives a prompt of the same length for no row in particular.
"""

OnePrompt = SoftPrompt | Prefix | Ensemble | PromptTensors | Tensor | Emitter | None
"""An ensemble is run only to choose: `FrozenModel.choose`."""
Prompts = OnePrompt | Sequence[OnePrompt]


INPUTS = ("input", "text")  # what enters at the embedding layer, not at an attention site


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
    distinct = {id(prompt): prompt for prompt in prompts}  # alive in `prompts`, so ids are theirs
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
    if isinstance(prompt, Ensemble):
        raise PromptgraftError(
            f"{prompt.card.title} is an ensemble of {len(prompt.members)} prompts: it chooses "
            "among words and writes nothing. Use `choose`, or one of its members."
        )
    if callable(prompt):
        return cast(PromptTensors, prompt())
    return prompt


def card_of(prompt: OnePrompt) -> PromptCard | None:
    """The card of a value, also of one that adapts to its rows; tensors have none."""
    card = getattr(prompt, "card", None)
    return card if isinstance(card, PromptCard) else None


def emitted(prompts: Prompts, batch: Batch) -> Prompts:
    """The same prompts, with those that look at the batch replaced by what they give its rows.

    Of a list each sees its own rows alone.
    """
    if not isinstance(prompts, Sequence):
        return prompts(batch) if callable(prompts) else prompts
    chosen = list(prompts)
    for one in {id(prompt): prompt for prompt in prompts if callable(prompt)}.values():
        rows = [row for row, prompt in enumerate(prompts) if prompt is one]
        given = one(batch.only(rows))
        for place, row in enumerate(rows):
            chosen[row] = given[place] if isinstance(given, Sequence) else _of_row(given, place)
    return chosen


def fits(
    prompts: Sequence[PromptTensors],
    virtual: int,
    name: str,
    geometry: Geometry,
    takes_prefixes: bool,
) -> None:
    """Raise PromptgraftError for prompts that are not what the batch or the model needs.

    virtual  length of the longest soft prompt that the batch was encoded for
    """
    longest = max(map(length_of, prompts))
    if longest != virtual:
        raise PromptgraftError(
            f"The batch was encoded for a prompt of {virtual} virtual tokens and is run with "
            f"{longest}. Encode the rows with the prompt they are run with."
        )
    expected = ", ".join(
        f"'{site}' [{layers}, 2, P, {heads}, {size}]"
        for site, (layers, heads, size) in geometry.sites.items()
    )
    for tensors in prompts:
        sites = sites_of(tensors)
        if sites and "input" in tensors:
            raise PromptgraftError("A prompt is either virtual tokens or a prefix; got both.")
        if sites and not takes_prefixes:
            raise PromptgraftError(
                f"{name} does its attention in a way of its own and takes no prefixes; "
                "use a soft prompt."
            )
        for site, tensor in sites.items():
            if geometry.sites.get(site) != (tensor.shape[-5], *tensor.shape[-2:]):
                raise PromptgraftError(
                    f"prefix '{site}' of shape {list(tensor.shape)}; {name} takes {expected}."
                )


def pick(prompts: Prompts, chosen: Sequence[int]) -> Prompts:
    """The prompts of some rows: of a list, or of tensors that hold one a row."""
    if isinstance(prompts, Sequence):
        return [prompts[row] for row in chosen]
    if isinstance(prompts, Tensor):
        return prompts[list(chosen)] if prompts.ndim == 3 and len(prompts) > 1 else prompts
    if isinstance(prompts, Mapping):
        whole = {name: 3 if name in INPUTS else 6 for name in prompts}
        return {
            name: tensor[list(chosen)] if tensor.ndim == whole[name] and len(tensor) > 1 else tensor
            for name, tensor in prompts.items()
        }
    return prompts


def _of_row(tensors: PromptTensors, row: int) -> PromptTensors:
    """A row's own; the same object where all rows have the same."""
    picked = cast(PromptTensors, pick(tensors, [row]))
    same = all(picked[name] is tensor for name, tensor in tensors.items())
    return tensors if same else picked


def length_of(prompt: OnePrompt) -> int:
    """Virtual tokens that the prompt puts into the input; 0 for a prefix."""
    vectors = tensors_of(prompt).get("input")
    return 0 if vectors is None else vectors.shape[-2]


def prefix_length_of(prompt: OnePrompt) -> int:
    """Virtual tokens that the prompt puts before the text's keys and values."""
    return max((t.shape[-3] for t in sites_of(tensors_of(prompt)).values()), default=0)


def sites_of(tensors: PromptTensors) -> PromptTensors:
    """The tensors of the attention sites alone."""
    return {name: tensor for name, tensor in tensors.items() if name not in INPUTS}


def batched_vectors(tensors: PromptTensors, name: str = "input") -> Tensor | None:
    """[P, D] or [B, P, D] -> [1 or B, P, D]."""
    vectors = tensors.get(name)
    return None if vectors is None else vectors if vectors.ndim == 3 else vectors[None]


def batched_sites(tensors: PromptTensors) -> dict[str, Tensor]:
    """Every site as [1 or B, L, 2, P, H_kv, d_head]."""
    return {
        site: tensor if tensor.ndim == 6 else tensor[None]
        for site, tensor in sites_of(tensors).items()
    }


def merge_vectors(vectors: Sequence[Tensor | None], of: Sequence[int]) -> Tensor | None:
    """Soft prompts of different lengths, one a row: [B, longest P, D], short ones padded.

    vectors  for each distinct prompt [1 or B, P, D], or None
    of       which of them each of the B rows has
    """
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
    return _by_row(padded, of)


def merge_sites(
    prefixes: Sequence[Mapping[str, Tensor]], of: Sequence[int]
) -> dict[str, SitePrefix]:
    """Prefixes of different lengths, one a row: padded on the left, with masks.

    prefixes  for each distinct prompt its sites [1 or B, L, 2, P, H_kv, d_head]
    of        which of them each of the B rows has
    """
    merged = {}
    for site in {site: None for prefix in prefixes for site in prefix}:
        tensors = [prefix.get(site) for prefix in prefixes]
        some = next(t for t in tensors if t is not None)
        longest = max(t.shape[3] for t in tensors if t is not None)
        padded = [
            some.new_zeros(1, *some.shape[1:3], longest, *some.shape[4:])
            if t is None
            else pad(t, (0, 0, 0, 0, longest - t.shape[3], 0))
            for t in tensors
        ]
        starts = torch.tensor([longest if t is None else longest - t.shape[3] for t in tensors])
        visible = torch.arange(longest) >= starts[list(of)][:, None]
        merged[site] = SitePrefix(
            _by_row(padded, of),
            None if visible.all() else visible.to(some.device),
        )
    return merged


def _by_row(tensors: Sequence[Tensor], of: Sequence[int]) -> Tensor:
    """One line for each row, out of tensors that hold one line for all or one a row."""
    starts = [0]
    for tensor in tensors:
        starts.append(starts[-1] + len(tensor))
    lines = [starts[n] + (row if len(tensors[n]) > 1 else 0) for row, n in enumerate(of)]
    whole = torch.cat(list(tensors))
    return whole if lines == list(range(len(whole))) else whole[lines]
