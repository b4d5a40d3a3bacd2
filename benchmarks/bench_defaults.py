"""What the defaults of `tune` rest on: initialisers and learning rates, judged on validation data.

    PROMPTGRAFT_DATA=... python benchmarks/bench_defaults.py [--models mini/bert-s] [--record]

A cell is the best validation score of a short run; for texts it is minus the loss. All settings are
run once, the best of each method and module again with other seeds. Finished runs are kept in
build/defaults and not run again.
"""

import argparse
import itertools
import json
import logging
import tempfile
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import common
import torch

from promptgraft import api, tasks
from promptgraft.library import Library
from promptgraft.models import FrozenModel

OUT = Path("build/defaults")
INITS = ("random", "vocabulary", "labels", "own")
NETWORK_INITS = ("vocabulary", "own")  # own: the network's output, whatever it is, as in the papers
KINDS = ("soft-prompt", "prefix")
RATES = {"direct": (0.003, 0.01, 0.03, 0.1, 0.3), "mlp": (0.0003, 0.001, 0.003)}
TRAIN_ROWS, VALIDATION_ROWS = 6400, 300

Settings = dict[str, Any]


def grid() -> list[Settings]:
    """What is compared."""
    return [
        {"method": kind, "module": module, "init": init, "lr": rate}
        for kind in KINDS
        for module, rates in RATES.items()
        for init in (INITS if module == "direct" else NETWORK_INITS)
        for rate in rates
    ]


def score(model: FrozenModel, task: tasks.Task, settings: Settings, steps: int) -> float:
    """Best validation score of one run, kept on disk."""
    key = "_".join(map(str, (model.name, task.name, *settings.values(), steps)))
    file = OUT / f"{key.replace('/', '-')}.json"
    if file.exists():
        return float(json.loads(file.read_text()))
    with tempfile.TemporaryDirectory() as folder:
        run = api.tune(
            model=model,
            task=task,
            library=Library(Path(folder) / "library"),
            out=Path(folder) / "run",
            steps=steps,
            evaluate_every=steps // 4,
            evaluate_rows=VALIDATION_ROWS,
            test_rows=1,
            samples=0,
            **settings,
        )
    if run.outcome.best_score is None:
        raise SystemExit(f"Task {task.name} has no validation rows.")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(run.outcome.best_score))
    return run.outcome.best_score


def scores(
    models: list[FrozenModel], loaded: list[tasks.Task], settings: Settings, seeds: int, steps: int
) -> list[list[float]]:
    """For each model and task, of every seed."""
    return [
        [score(model, task, {**settings, "seed": seed}, steps) for seed in range(seeds)]
        for model in models
        for task in loaded
    ]


def line(settings: Settings, found: list[list[float]]) -> list[str]:
    """The settings, the mean over models and tasks, and each task's mean ± deviation over seeds."""
    cells = [f"{mean(s):.1f}" + (f" ± {stdev(s):.1f}" if len(s) > 1 else "") for s in found]
    return [*map(str, settings.values()), f"{mean(map(mean, found)):.2f}", *cells]


def main(arguments: list[str] | None = None) -> None:
    """Measure, print, and if asked record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="*", default=["mini/bert-s"])
    parser.add_argument("--tasks", nargs="*", default=["sst2", "agnews"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--best", type=int, default=3, help="settings that all seeds are run of")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--record", action="store_true", help="append to RESULTS.md")
    options = parser.parse_args(arguments)
    logging.disable(logging.WARNING)
    if options.threads:
        torch.set_num_threads(options.threads)
    models = [FrozenModel.load(name, device=options.device) for name in options.models]
    loaded = [tasks.load(name).subset("train", TRAIN_ROWS, 0) for name in options.tasks]
    once: list[tuple[float, Settings]] = []
    rows = []
    for settings in grid():
        if settings["init"] == "labels" and not all(task.verbalizer for task in loaded):
            continue
        found = scores(models, loaded, settings, 1, options.steps)
        once.append((mean(map(mean, found)), settings))
        rows.append(line(settings, found))
        print(*rows[-1], flush=True)
    again = []
    for kind, module in itertools.product(KINDS, RATES):
        own = [(s, c) for s, c in once if (c["method"], c["module"]) == (kind, module)]
        for _, settings in sorted(own, key=lambda pair: -pair[0])[: options.best]:
            found = scores(models, loaded, settings, options.seeds, options.steps)
            again.append(line(settings, found))
            print(*again[-1], flush=True)
    heads = ["method", "module", "init", "lr", "mean"]
    heads += [f"{task} on {model}" for model in options.models for task in options.tasks]
    body = (
        f"{common.machine(options.device)}.\n\n"
        f"Best validation score of {options.steps} steps, one seed:\n\n"
        f"{common.table(heads, rows)}\n\n"
        f"The best {options.best} of each method and module, {options.seeds} seeds:\n\n"
        f"{common.table(heads, again)}"
    )
    print(f"\n{body}")
    if options.record:
        common.record("defaults of tune: initialisers and learning rates", body)


if __name__ == "__main__":
    main()
