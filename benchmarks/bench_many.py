"""Many tunings on one frozen model: in shared passes, beside one after another in the same run.

    python benchmarks/bench_many.py [--model mini/bert-s] [--tunings 16] [--device cpu] [--record]

Every tuning has its own rows of sst2, its own start and its own optimizer; both ways must come to
the same prompts.
"""

import argparse
import statistics
from pathlib import Path
from tempfile import TemporaryDirectory

import common
import torch
from transformers.utils import logging

from promptgraft import modules, tasks
from promptgraft.models import FrozenModel
from promptgraft.modules import PromptModule
from promptgraft.tasks import Task
from promptgraft.training import Objective, Run, TrainingConfig, encode, train, train_many

TARGETS = {"cpu": 1.5, "cuda": 4.0}
SAME = 1e-5  # difference of the prompts after all steps, as a share of how far they moved
LENGTH, ROWS = 10, 32
LEGEND = """\
Seconds for all tunings, and ratios: median (range) over rounds in which the two take turns. ±: how
far the prompts of the two ways are apart, as a share of how far they moved (float32)."""


def module_of(model: FrozenModel, seed: int) -> PromptModule:
    """A soft prompt that starts from words drawn by the seed."""
    layout = modules.layout("soft-prompt", LENGTH, model)
    generator = torch.Generator().manual_seed(seed)
    return modules.build(
        "direct", layout, modules.INITIALISERS["vocabulary"]()(model, layout, generator)
    )


class Tunings:
    """So many tunings, to be done either way."""

    def __init__(self, model: FrozenModel, task: Task, count: int, config: TrainingConfig) -> None:
        self.model, self.objective, self.config = model, Objective(model, task), config
        template = task.template(model.family)
        rows = [task.subset("train", ROWS, seed).rows("train") for seed in range(count)]
        self.encoded = [encode(model, task, some, module_of(model, 0)(), template) for some in rows]

    def alone(self) -> list[PromptModule]:
        built = [module_of(self.model, seed) for seed in range(len(self.encoded))]
        for module, encoded in zip(built, self.encoded, strict=True):
            with TemporaryDirectory() as folder:
                train(module, encoded, self.objective, self.config, Path(folder))
        return built

    def together(self) -> list[PromptModule]:
        built = [module_of(self.model, seed) for seed in range(len(self.encoded))]
        runs = [Run(module, rows) for module, rows in zip(built, self.encoded, strict=True)]
        train_many(runs, self.objective, self.config)
        return built

    def difference(self) -> float:
        """Between the two ways, see SAME."""
        shares = []
        for seed, pair in enumerate(zip(self.alone(), self.together(), strict=True)):
            start = module_of(self.model, seed)()["input"]
            one, other = (module()["input"].detach().cpu() for module in pair)
            shares.append(((one - other).norm() / (one - start).norm()).item())
        return max(shares)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="mini/bert-s")
    parser.add_argument("--tunings", type=int, default=16)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[4, 16])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--record", action="store_true", help="append to RESULTS.md")
    options = parser.parse_args(arguments)
    logging.set_verbosity_error()
    if options.threads:
        torch.set_num_threads(options.threads)
    task = tasks.load("sst2")
    lines = []
    for size in options.batch_sizes:
        config = TrainingConfig(steps=options.steps, batch_size=size, lr=0.01)
        apart = 0.0
        for dtype in common.DTYPES:
            model = FrozenModel.load(options.model, device=options.device, dtype=dtype)
            tunings = Tunings(model, task, options.tunings, config)
            if dtype == "float32" and (apart := tunings.difference()) > SAME:
                raise SystemExit(f"Not the same tunings: {apart:.1e} apart.")
            ways = {"alone": tunings.alone, "together": tunings.together}
            found = common.seconds(ways, options.rounds, options.device, "wall")
            ratios = [a / b for a, b in zip(found["alone"], found["together"], strict=True)]
            met = "met" if statistics.median(ratios) >= TARGETS[options.device] else "missed"
            lines.append(
                [
                    *(str(options.tunings), str(size), dtype),
                    *(common.spread(found[way]) for way in ways),
                    common.spread(ratios),
                    f">={TARGETS[options.device]:g} {met}",
                    f"{apart:.0e}" if dtype == "float32" else "-",
                ]
            )
    heads = ["tunings", "batch", "dtype", "alone s", "together s", "alone/together", "target", "±"]
    about = f"{options.model}, {LENGTH} virtual tokens, {options.steps} steps. "
    body = f"{about}{common.machine(options.device)}.\n\n{LEGEND}\n\n{common.table(heads, lines)}"
    print(body)
    if options.record:
        common.record(f"many tunings together, {options.device}", body)


if __name__ == "__main__":
    main()
