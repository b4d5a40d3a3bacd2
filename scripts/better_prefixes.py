"""What makes a prefix of few examples better, at equal numbers to keep.

    PROMPTGRAFT_DATA=... python scripts/better_prefixes.py [--tasks e2e webnlg] [--rows 50 500]

Every variant differs from the usual prefix in one thing. All have the same rows, of which 30 % are
kept back to stop by. The first table is of validation rows that no run has seen, and serves to
choose; with --score NAME ... those variants are trained again and what they write from test rows is
scored. Differences are paired by task, number of rows and sample. What was measured is kept.
"""

import argparse
import logging
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor, nn

from promptgraft import modules, tasks
from promptgraft.models import Batch, FrozenModel, PromptTensors
from promptgraft.modules import INITIALISERS, Layout, PromptModule, Start
from promptgraft.modules.direct import Direct
from promptgraft.studies.intervals import difference, mean
from promptgraft.studies.memo import Memo
from promptgraft.studies.tables import Table
from promptgraft.tasks import Task
from promptgraft.training import Objective, TrainingConfig, encode, evaluate, mean_loss, train

LENGTH, STEPS, BATCH = 10, 200, 10
EXAMPLES = 4  # training rows whose keys and values a prefix starts from
MOST = 300  # their tokens
JUDGED = 200  # validation rows, and test rows
USUAL = "usual"

Begin = Callable[[FrozenModel, Layout, Task, Generator], Start]


def known(name: str, *arguments: Any) -> Begin:
    """One of the library's own starts."""
    return lambda model, layout, _, generator: INITIALISERS[name](*arguments)(
        model, layout, generator
    )


def examples(compress: Callable[[Tensor], Tensor]) -> Begin:
    """Keys and values [L, 2, N, H, d] of a few training rows, made as few as the prefix has."""

    def begin(model: FrozenModel, layout: Layout, task: Task, generator: Generator) -> Start:
        rows = task.rows("train")
        drawn = torch.randperm(len(rows), generator=generator)[:EXAMPLES].tolist()
        ids: list[int] = []
        for row in (rows[number] for number in drawn):
            ids += model.encoder.word(f"{row['source']} => {task.references(row)[0]}")
            ids.append(model.tokenizer.eos_token_id)
        sites = model.activations(torch.tensor(ids[:MOST]))
        return layout.flatten({site: compress(tensor) for site, tensor in sites.items()})

    return begin


def spread(tensor: Tensor) -> Tensor:
    """Tokens at equal distances."""
    return tensor[:, :, torch.linspace(0, tensor.shape[2] - 1, LENGTH).round().long()]


def pooled(tensor: Tensor) -> Tensor:
    """Means of runs of tokens."""
    return torch.stack([part.mean(2) for part in tensor.tensor_split(LENGTH, 2)], 2)


def last(tensor: Tensor) -> Tensor:
    return tensor[:, :, -LENGTH:]


class Gated(Direct):
    """Keys and values of each layer times a trained number of their own."""

    def __init__(self, layout: Layout, start: Start) -> None:
        super().__init__(layout, start)
        self.gates = nn.ParameterDict(
            {site: nn.Parameter(torch.zeros(own[0], 2)) for site, own in layout.sites.items()}
        )

    def forward(self, batch: Batch | None = None) -> PromptTensors:
        return {
            site: tensor * self.gates[site].exp()[:, :, None, None, None]
            for site, tensor in super().forward(batch).items()
        }


class LowRank(PromptModule):
    """Three times as many tokens, of a rank that makes as many numbers."""

    def __init__(self, layout: Layout, start: Start) -> None:
        longer = replace(layout, length=3 * layout.length)
        super().__init__(longer)
        self.mixes, self.tables = nn.ParameterDict(), nn.ParameterDict()
        for site, width in layout.widths().items():
            rank = max(1, layout.length * width // (width + longer.length))
            table = torch.randn(rank, width) if start is None else start[site][:rank].clone()
            self.tables[site] = table
            self.mixes[site] = torch.eye(rank)[torch.arange(longer.length) % rank]

    def forward(self, batch: Batch | None = None) -> PromptTensors:
        return self.layout.shape({s: self.mixes[s] @ table for s, table in self.tables.items()})


class SharedOverLayers(PromptModule):
    """The same keys and values in every layer, as many more tokens as there are layers."""

    def __init__(self, layout: Layout, start: Start) -> None:
        longest = max(layers for layers, _, _ in layout.sites.values())
        super().__init__(replace(layout, length=layout.length * longest))
        drawn = {s: torch.randn(layout.length, w) for s, w in layout.widths().items()}
        tensors = layout.shape(start or drawn)
        self.tables = nn.ParameterDict(
            {site: torch.cat(list(tensor), 1) for site, tensor in tensors.items()}  # [2, L P, H, d]
        )

    def forward(self, batch: Batch | None = None) -> PromptTensors:
        return {
            site: table.expand(self.layout.sites[site][0], *table.shape)
            for site, table in self.tables.items()
        }


class Paced(Direct):
    """Keys and values that learn at rates of their own: times the usual."""

    def __init__(
        self, layout: Layout, start: dict[str, Tensor], keys: float = 1.0, values: float = 1.0
    ):
        super().__init__(layout, start)
        self.pace = torch.tensor([keys, values])[None, :, None, None, None]
        self.first = {site: table.clone() for site, table in start.items()}

    def forward(self, batch: Batch | None = None) -> PromptTensors:
        first = self.layout.shape(self.first)
        moved = super().forward(batch)
        return {site: f + (moved[site] - f) * self.pace for site, f in first.items()}


class Averaged(Direct):
    """Judged and kept is a running mean of the numbers over the steps."""

    def __init__(self, layout: Layout, start: Start, decay: float = 0.95) -> None:
        super().__init__(layout, start)
        self.decay = decay
        self.means = {site: table.detach().clone() for site, table in self.tables.items()}

    def forward(self, batch: Batch | None = None) -> PromptTensors:
        if torch.is_grad_enabled():
            for site, table in self.tables.items():
                self.means[site].lerp_(table.detach(), 1 - self.decay)
            return super().forward(batch)
        return self.layout.shape(self.means)


mlp = partial(modules.build, "mlp")


@dataclass(frozen=True)
class Variant:
    """What is tuned: where it begins, what emits it, how fast it learns."""

    begin: Begin = field(default_factory=lambda: known("vocabulary"))
    module: Callable[[Layout, Any], PromptModule] = Direct
    rate: float = 0.1


VARIANTS: Mapping[str, Variant] = {
    USUAL: Variant(),
    "rate 0.03": Variant(rate=0.03),
    "rate 0.3": Variant(rate=0.3),
    "from N(0, 1)": Variant(known("own")),
    "from random words' moments": Variant(known("random")),
    "from the words 'table-to-text'": Variant(known("text", "table-to-text")),
    "from examples, spread": Variant(examples(spread)),
    "from examples, pooled": Variant(examples(pooled)),
    "from examples, last": Variant(examples(last)),
    "gates by layer": Variant(module=Gated),
    "low rank": Variant(module=LowRank),
    "shared over layers": Variant(module=SharedOverLayers),
    "keys three times as fast": Variant(module=partial(Paced, keys=3.0)),
    "values three times as fast": Variant(module=partial(Paced, values=3.0)),
    "averaged over steps": Variant(module=Averaged),
    "mlp": Variant(module=mlp, rate=1e-3),
    "mlp, rate 0.0003": Variant(module=mlp, rate=3e-4),
    "mlp, rate 0.003": Variant(module=mlp, rate=3e-3),
    "mlp, own start": Variant(known("own"), mlp, 1e-3),
}


def tune(model: FrozenModel, task: Task, rows: int, sample: int, variant: Variant) -> PromptModule:
    """What emits the prefix of a sample of training rows."""
    few = task.few_shot(rows, sample).subset("validation", max(1, round(0.3 * rows)), sample)
    generator = torch.Generator().manual_seed(sample)
    torch.manual_seed(sample)
    layout = modules.layout("prefix", LENGTH, model)
    module = variant.module(layout, variant.begin(model, layout, few, generator))
    template = task.template(model.family)
    objective = Objective(model, task, "vocabulary", template)
    train_rows, held = (
        encode(model, few, few.rows(split), module(), template) for split in ("train", "validation")
    )
    config = TrainingConfig(
        steps=STEPS, batch_size=BATCH, lr=variant.rate, warmup=0.1, evaluate_every=25,
        checkpoint_every=10**6, seed=sample,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        train(module, train_rows, objective, config, Path(folder),
              lambda: -mean_loss(objective, module, held, 32))  # fmt: skip
    return module


def measure(
    model: FrozenModel, task: Task, rows: int, sample: int, name: str, score: bool
) -> dict[str, float]:
    """The loss of validation rows, in nats per token; or of test rows, and the BLEU of beam 5."""
    module = tune(model, task, rows, sample, VARIANTS[name])
    split = "test" if score else "validation"
    judged = task.subset(split, JUDGED, 0).rows(split)
    template = task.template(model.family)
    objective = Objective(model, task, "vocabulary", template)
    with torch.no_grad():
        prefix = module()
        encoded = encode(model, task, judged, prefix, template)
        found = {"loss": mean_loss(objective, module, encoded, 32)}
    if score:
        written = evaluate(
            model, task, judged, prefix, template, False, num_beams=5, max_new_tokens=60
        )
        found["bleu"] = written.scores["bleu"]
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="mini/gpt2-m")
    parser.add_argument("--tasks", nargs="+", default=["e2e", "webnlg"])
    parser.add_argument("--rows", nargs="+", type=int, default=[50, 500])
    parser.add_argument("--samples", type=int, default=5)
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--score", nargs="+", choices=VARIANTS, default=[])
    parser.add_argument("--out", type=Path, default=Path("build/prefixes"))
    options = parser.parse_args(arguments)
    logging.disable(logging.WARNING)
    memo = Memo(options.out / "measured.jsonl")
    model = FrozenModel.load(options.model)
    loaded = {name: tasks.load(name) for name in options.tasks}
    chosen = list(dict.fromkeys([USUAL, *(options.score or options.variants)]))
    score = bool(options.score)
    found: dict[str, list[dict[str, float]]] = {name: [] for name in chosen}
    for sample in range(options.samples):
        for task in options.tasks:
            for rows in options.rows:
                for name in chosen:
                    key = [options.model, task, rows, sample, name, score]
                    one = memo(
                        key, partial(measure, model, loaded[task], rows, sample, name, score)
                    )
                    found[name].append(one)
                    print(*key, one, flush=True)
    print(f"\n{table(found, options.model, score)}")


def table(found: Mapping[str, Sequence[Mapping[str, float]]], model: str, score: bool) -> Table:
    """Means and differences to the usual prefix, in hundredths of a nat, and in BLEU."""
    units = {"loss": 100.0, "bleu": 1.0} if score else {"loss": 100.0}
    lines = []
    for name, own in found.items():
        cells = [name]
        for metric, unit in units.items():
            ours, usual = ([[unit * one[metric]] for one in of] for of in (own, found[USUAL]))
            cells += [str(mean(ours)), str(difference(ours, usual))]
        lines.append(cells)
    heads = [head for metric in units for head in (metric, f"{metric} minus {USUAL}")]
    title = f"Prefixes of {LENGTH} tokens, {model}, {'test' if score else 'validation'}; nats / 100"
    return Table("prefixes", title, ["variant", *heads], lines)


if __name__ == "__main__":
    main()
