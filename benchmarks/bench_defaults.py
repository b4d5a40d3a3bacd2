"""What the defaults of `tune` rest on: initialisers and learning rates, judged on validation data.

    python benchmarks/bench_defaults.py [--models mini/bert-s ...] [--tasks sst2 ...] [--record]

Every cell is the mean over seeds of the best validation score of a short run; for texts the score
is minus the validation loss. Finished runs are kept in build/defaults and not run again.
"""

import argparse
import itertools
import json
import tempfile
from pathlib import Path
from statistics import mean, stdev

import torch

from promptgraft import api, tasks
from promptgraft.library import Library
from promptgraft.models import FrozenModel

OUT = Path("build/defaults")
INITS = ("random", "vocabulary", "labels", "own")
RATES = {
    ("soft-prompt", "direct"): (0.003, 0.03, 0.3),
    ("prefix", "direct"): (0.001, 0.01, 0.1),
    ("soft-prompt", "mlp"): (0.0003, 0.001, 0.003),
    ("prefix", "mlp"): (0.0003, 0.001, 0.003),
}
STEPS, TRAIN_ROWS = 200, 6400


def score(model: FrozenModel, task: tasks.Task, settings: dict[str, object]) -> float:
    """Best validation score of one run, kept on disk."""
    key = "_".join([model.name.replace("/", "-"), task.name, *map(str, settings.values())])
    file = OUT / f"{key}.json"
    if file.exists():
        return float(json.loads(file.read_text()))
    with tempfile.TemporaryDirectory() as folder:
        run = api.tune(
            model=model,
            task=task,
            library=Library(Path(folder) / "library"),
            out=Path(folder) / "run",
            steps=STEPS,
            evaluate_every=STEPS // 4,
            evaluate_rows=300,
            test_rows=1,
            **settings,
        )
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(run.outcome.best_score))
    return float(run.outcome.best_score or 0.0)


def table(model: FrozenModel, task: tasks.Task, seeds: int) -> list[str]:
    """Rows of Markdown: mean and deviation over seeds."""
    lines = []
    for (method, module), rates in RATES.items():
        for init, rate in itertools.product(INITS, rates):
            if (init == "labels" and task.verbalizer is None) or (
                module == "mlp" and init in ("random", "labels")
            ):
                continue
            settings = {"method": method, "module": module, "init": init, "lr": rate}
            found = [score(model, task, settings | {"seed": seed}) for seed in range(seeds)]
            spread = f" ± {stdev(found):.1f}" if seeds > 1 else ""
            cells = (model.name, task.name, method, module, init, f"{rate:g}")
            lines.append(f"| {' | '.join(cells)} | {mean(found):.2f}{spread} |")
            print(lines[-1], flush=True)
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="*", default=["mini/bert-s", "mini/gpt2-m"])
    parser.add_argument("--tasks", nargs="*", default=["sst2", "agnews"])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    print("| model | task | method | module | init | lr | validation |\n" + "|---" * 7 + "|")
    for model in map(FrozenModel.load, options.models):
        for name in options.tasks:
            task = tasks.load(name).subset("train", TRAIN_ROWS, 0).subset("test", 2, 0)
            table(model, task, options.seeds)


if __name__ == "__main__":
    main()
