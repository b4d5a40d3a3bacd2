"""How promptable the minis are: no prompt, manual wordings, tuned prompts, fine-tuning.

    PROMPTGRAFT_DATA=... python scripts/promptability.py [MINI ...] [--quick]

Every classification is over the label words of all the tasks together, so that a model must be
told what is asked. What is measured is kept in build/promptability/MINI.json and not measured
again; the tables in minis/README.md are written from these files.
"""

import argparse
import json
import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from promptgraft import minis, modules, tasks
from promptgraft.library import Library
from promptgraft.models import FrozenModel, OnePrompt
from promptgraft.studies import relations
from promptgraft.tasks import Row, Task
from promptgraft.training import (
    FineTuning,
    Objective,
    TrainingConfig,
    encode,
    evaluate,
    train,
)

SOURCES = ("subj", "dbpedia14")  # their labels were seen in pretraining
TARGETS = ("sst2", "agnews", "qnli", "mrpc")  # theirs were not
ROWS = 300  # test rows of a task
RELATION_ROWS = 200
METHODS = ("none", "manual", "soft prompt", "prefix", "fine-tuned")
TOGETHER = 8  # relations tuned in shared passes
SOFT = {"length": 20, "lr": 0.03}
PREFIX = {"length": 10, "lr": 0.1}
STEPS, TUNING_LR = 200, 3e-4
OUT = Path("build/promptability")
README = Path(minis.__file__).parent / "README.md"
MARKS = "<!-- promptability -->", "<!-- end of promptability -->"


def test_rows(task: Task) -> list[Row]:
    """The same test rows for every model; validation rows where there is no test split."""
    split = "test" if "test" in task.splits else "validation"
    return task.subset(split, ROWS, 0).rows(split)


def accuracy(
    model: FrozenModel, task: Task, prompt: OnePrompt, template: str, words: list[str]
) -> float:
    """Per cent, over all tasks' words."""
    found = evaluate(model, task, test_rows(task), prompt, template, False, choices=words)
    right = zip(found.predictions, found.references, strict=True)
    return 100 * sum(p in r for p, r in right) / len(found.predictions)


def tuned(
    model: FrozenModel, task: Task, kind: str, length: int, lr: float, template: str, steps: int
) -> dict[str, torch.Tensor]:
    """The prompt after the same number of steps for every method; nothing is picked on test."""
    layout = modules.layout(kind, length, model)
    start = modules.INITIALISERS["vocabulary"]()(model, layout, torch.Generator().manual_seed(0))
    module = modules.build("direct", layout, start)
    fit(model, task, module, module(), lr, template, steps)
    return {name: tensor.detach() for name, tensor in module().items()}


def fit(
    model: FrozenModel,
    task: Task,
    module: torch.nn.Module,
    emitted: OnePrompt,
    lr: float,
    template: str,
    steps: int,
) -> None:
    """Tune on the training rows, the last state kept."""
    rows = task.subset("train", steps * 32, 0).rows("train")
    config = TrainingConfig(steps=steps, batch_size=32, lr=lr, checkpoint_every=10**6)
    encoded = encode(model, task, rows, emitted, template)
    with tempfile.TemporaryDirectory() as folder:
        train(module, encoded, Objective(model, task, "vocabulary"), config, Path(folder))


def measure_task(
    method: str, model: FrozenModel, task: Task, words: list[str], steps: int
) -> float:
    """Accuracy on one task by one method."""
    template = task.template(model.family)
    if method == "manual":
        wordings = task.manual[model.family]
        return max(accuracy(model, task, None, own, words) for own in wordings)
    if method == "fine-tuned":
        whole = FineTuning(model)
        fit(whole.model, task, whole, None, TUNING_LR, template, steps)
        whole.weights.requires_grad_(False)
        return accuracy(whole.model, task, None, template, words)
    prompt = None
    if method == "soft prompt":
        prompt = tuned(model, task, "soft-prompt", **SOFT, template=template, steps=steps)
    elif method == "prefix":
        prompt = tuned(model, task, "prefix", **PREFIX, template=template, steps=steps)
    return accuracy(model, task, prompt, template, words)


def measure_lama(name: str, chosen: Sequence[str]) -> dict[str, dict[str, float]]:
    """Relations of LAMA: manual wording and five tuned vectors, among words all such minis know."""
    masked = {other: FrozenModel.load(other) for other in minis.names()}
    masked = {other: model for other, model in masked.items() if model.family == "masked"}
    most = {"test": RELATION_ROWS, "validation": 100}
    facts = relations.facts(list(masked.values()), chosen, most)
    model, bare = masked[name], dict.fromkeys(chosen)
    manual = relations.accuracy(model, facts, bare, manual=True)
    prompts = relations.tune(model, facts, 0, Library(OUT / "library"))
    tuned = relations.accuracy(model, facts, prompts)
    return {name: {"manual": manual[name], "tuned": tuned[name]} for name in chosen}


def measure_e2e(method: str, model: FrozenModel, steps: int) -> float:
    """BLEU of texts from tables, with no prompt or with a tuned prefix."""
    task = tasks.load("e2e")
    rows, template = task.subset("test", 100, 0).rows("test"), task.template(model.family)
    prompt = None
    if method == "prefix":
        prompt = tuned(model, task, "prefix", **PREFIX, template=template, steps=2 * steps)
    return evaluate(model, task, rows, prompt, template, False).scores["bleu"]


def measure(name: str, steps: int) -> dict[str, Any]:
    """Everything about one mini, kept one by one so that a stopped run goes on."""
    file = OUT / f"{name.replace('/', '-')}.json"
    found: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    model = FrozenModel.load(name, dtype="float32")
    loaded = {task: tasks.load(task) for task in (*TARGETS, *SOURCES)}
    verbalizers = [task.verbalizer or {} for task in loaded.values()]
    words = sorted({word for verbalizer in verbalizers for word in verbalizer.values()})

    def lacking(part: str, key: str, methods: Sequence[str]) -> list[str]:
        return [method for method in methods if method not in found.get(part, {}).get(key, {})]

    def keep(part: str, key: str, method: str, value: float) -> None:
        found.setdefault(part, {}).setdefault(key, {})[method] = value
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(found, indent=1))
        print(f"{name} {part} {key} {method} {value:.1f}", flush=True)

    for key, task in loaded.items():
        for method in lacking("tasks", key, METHODS):
            keep("tasks", key, method, measure_task(method, model, task, words, steps))
    if model.family == "masked":
        left = [key for key in relations.RELATIONS if key not in found.get("lama", {})]
        for i in range(0, len(left), TOGETHER):
            for key, by_method in measure_lama(name, left[i : i + TOGETHER]).items():
                for method, value in by_method.items():
                    keep("lama", key, method, value)
    else:
        for method in lacking("texts", "e2e", ("none", "prefix")):
            keep("texts", "e2e", method, measure_e2e(method, model, steps))
    return found


def mean(values: list[float]) -> float:
    """Over the numbers that are there."""
    known = [value for value in values if value == value]
    return sum(known) / len(known) if known else float("nan")


def tables() -> str:
    """The measurements as Markdown."""
    lines = [
        f"Accuracy on {ROWS} test rows, in per cent, mean over {', '.join(TARGETS)} (targets: "
        f"labels never seen) and {', '.join(SOURCES)} (sources). Predictions are over the label "
        f"words of all these tasks together. {STEPS} steps of 32 rows for every tuned method. "
        "LAMA: mean over relations of the accuracy on up to "
        f"{RELATION_ROWS} facts, among all of LAMA's words that are one token for each masked "
        "mini; e2e: BLEU on 100 tables.",
        "",
        f"| mini | {' | '.join(METHODS)} | soft - none "
        "| LAMA manual | LAMA tuned | e2e none | e2e prefix |",
        "|---" * (len(METHODS) + 6) + "|",
    ]
    details = []
    for file in sorted(OUT.glob("*.json")):
        found, name = json.loads(file.read_text()), file.stem.replace("mini-", "mini/")
        by = {m: mean([row[m] for row in found["tasks"].values()]) for m in METHODS}
        lama = found.get("lama", {}).values()
        texts = found.get("texts", {}).get("e2e", {})
        cells = [by[m] for m in METHODS] + [by["soft prompt"] - by["none"]]
        cells += [mean([row[m] for row in lama]) for m in ("manual", "tuned")]
        cells += [texts.get(m, float("nan")) for m in ("none", "prefix")]
        shown = ["" if cell != cell else f"{cell:.1f}" for cell in cells]
        lines.append(f"| {name} | {' | '.join(shown)} |")
        details += ["", f"### {name}", "", f"| task | {' | '.join(METHODS)} |", "|---" * 6 + "|"]
        for task, row in found["tasks"].items():
            details.append(f"| {task} | " + " | ".join(f"{row[m]:.1f}" for m in METHODS) + " |")
    return "\n".join([*lines, *details, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=minis.names())
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    logging.disable(logging.WARNING)
    for name in options.names:
        measure(name, options.steps)
    head, begin, rest = README.read_text().partition(MARKS[0])
    README.write_text(f"{head}{begin}\n\n{tables()}\n{MARKS[1]}{rest.partition(MARKS[1])[2]}")


if __name__ == "__main__":
    main()
