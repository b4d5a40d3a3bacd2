"""What a prompt starts from. An initialiser is a function of the model, the layout and a generator.

Most choose tokens of the vocabulary. A soft prompt then starts from their embeddings, a prefix from
the keys and values they have in the model ("real words", Prefix-Tuning, section 7.4).
"""

from collections.abc import Callable, Sequence

import torch
from torch import Generator, Tensor

from promptgraft.errors import ConfigError, DataError
from promptgraft.models import FrozenModel
from promptgraft.modules.layout import Layout
from promptgraft.modules.module import Start
from promptgraft.modules.registry import Registry
from promptgraft.prompts import Prompt

Initialiser = Callable[[FrozenModel, Layout, Generator], Start]

INITIALISERS: Registry[Callable[..., Initialiser]] = Registry("initialiser")

COMMON = 5000  # tokens that count as common: the first of the vocabulary, which are the frequent


@INITIALISERS.register("own")
def own() -> Initialiser:
    """Whatever the module starts from by itself: N(0, 1), or an MLP's output as in the paper."""
    return lambda model, layout, generator: None


@INITIALISERS.register("random")
def random() -> Initialiser:
    """Normal numbers with the mean and deviation of the model's own embeddings, or of the keys and
    values of random words, layer by layer."""

    def initialise(model: FrozenModel, layout: Layout, generator: Generator) -> Start:
        words = _tables(model, layout, _common(model, 64, generator))
        tables = {}
        for name, table in words.items():
            noise = torch.randn(layout.length, table.shape[1], generator=generator)
            if layout.kind == "soft-prompt":
                tables[name] = table.mean() + table.std() * noise
            else:
                tables[name] = table.mean(0) + table.std(0) * noise
        return tables

    return initialise


@INITIALISERS.register("uniform")
def uniform() -> Initialiser:
    """Numbers between 0 and 1, the random start of Prefix-Tuning's section 7.4."""

    def initialise(model: FrozenModel, layout: Layout, generator: Generator) -> Start:
        return {
            name: torch.rand(layout.length, width, generator=generator)
            for name, width in layout.widths().items()
        }

    return initialise


@INITIALISERS.register("vocabulary")
def vocabulary() -> Initialiser:
    """Common tokens drawn at random (Lester et al. 2021, "sampled vocabulary")."""

    def initialise(model: FrozenModel, layout: Layout, generator: Generator) -> Start:
        return _tables(model, layout, _common(model, layout.length, generator))

    return initialise


@INITIALISERS.register("text")
def text(text: str) -> Initialiser:
    """The tokens of a text, repeated or cut to the prompt's length."""

    def initialise(model: FrozenModel, layout: Layout, generator: Generator) -> Start:
        ids = model.encoder.word(text) if text.strip() else []
        if not ids:
            raise ConfigError(f"The initial text {text!r} has no tokens.")
        return _tables(model, layout, fit(torch.tensor(ids), layout.length))

    return initialise


@INITIALISERS.register("wording")
def wording(tokens: Sequence[int]) -> Initialiser:
    """The words of a worded template, for the slots in their places (wording.py)."""
    return lambda model, layout, generator: _tables(model, layout, torch.tensor(tokens))


@INITIALISERS.register("labels")
def labels(words: Sequence[str]) -> Initialiser:
    """The words of the classes, several tokens averaged (Lester et al. 2021, "class label"); then
    sampled vocabulary. A prefix takes the words' tokens as they are."""

    def initialise(model: FrozenModel, layout: Layout, generator: Generator) -> Start:
        if not words:
            raise DataError("The task has no label words to start from; use another initialiser.")
        ids = [model.encoder.word(word) for word in words]
        flat = [token for tokens in ids for token in tokens][: layout.length]
        rest = _common(model, layout.length, generator)
        if layout.kind == "soft-prompt":
            means = torch.stack([model.embed(torch.tensor(tokens)).mean(0).cpu() for tokens in ids])
            return {"input": torch.cat([means, model.embed(rest).cpu()])[: layout.length]}
        return _tables(model, layout, torch.cat([torch.tensor(flat), rest])[: layout.length])

    return initialise


@INITIALISERS.register("prompt")
def prompt(prompt: Prompt) -> Initialiser:
    """Another prompt for the same model, repeated or cut to the length."""

    def initialise(model: FrozenModel, layout: Layout, generator: Generator) -> Start:
        model.check(prompt)
        if prompt.card.kind != layout.kind:
            raise ConfigError(f"A {layout.kind} cannot start from a {prompt.card.kind}.")
        tables = layout.flatten({name: t.cpu() for name, t in prompt.tensors().items()})
        return {name: fit(table, layout.length) for name, table in tables.items()}

    return initialise


def fit(rows: Tensor, length: int) -> Tensor:
    """Repeat or cut along the first dimension: [N, ...] -> [length, ...]."""
    return rows[torch.arange(length) % len(rows)]


def _common(model: FrozenModel, count: int, generator: Generator) -> Tensor:
    """Ids of `count` common tokens, special ones left out."""
    special = set(model.tokenizer.all_special_ids)
    ids = torch.tensor([i for i in range(len(model.tokenizer)) if i not in special][:COMMON])
    return ids[torch.randint(len(ids), (count,), generator=generator)]


def _tables(model: FrozenModel, layout: Layout, ids: Tensor) -> dict[str, Tensor]:
    """Tokens [N] as tables [N, width]: embeddings, or keys and values."""
    if layout.kind == "soft-prompt":
        return {"input": model.embed(ids).cpu()}
    sites = model.activations(ids)
    return layout.flatten({site: sites[site].cpu() for site in layout.sites})
