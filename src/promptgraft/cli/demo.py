"""`promptgraft demo`: tune, move and use prompts on the minis, and show it all on one page."""

from __future__ import annotations

import math
import os
import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from promptgraft.cli import terminal
from promptgraft.cli.options import LibraryPath

if TYPE_CHECKING:
    from promptgraft.analysis.page import Comparison, Graft, Score, TunedRun, Writing
    from promptgraft.api import Run
    from promptgraft.library import Library
    from promptgraft.models import FrozenModel
    from promptgraft.tasks import Task
    from promptgraft.training import Evaluation

EPILOG = """\b
Example:
$ promptgraft demo
sst2 on mini/bert-s  300/300  loss 0.630  validation accuracy 71.0  0:24
  accuracy  60.4 (57.3 to 63.6)  mini/bert-s, no prompt
  accuracy  63.4 (60.4 to 66.5)  mini/bert-s, manual wording: {text} Did they like it ? {mask} .
  accuracy  68.2 (65.2 to 71.2)  mini/bert-s, the tuned prompt
  accuracy  58.5 (55.6 to 61.4)  mini/bert-m, no prompt
  accuracy  57.3 (54.5 to 60.4)  mini/bert-m, manual wording: {text} Did they like it ? {mask} .
  accuracy  66.2 (63.2 to 69.1)  mini/bert-m, the same prompt, moved without training
e2e on mini/gpt2-m  138/800  loss 2.364  validation loss 2.371  5.1/s  2:10 left
e2e on mini/gpt2-m  300/800  loss 2.345  validation loss 2.267  5.0/s  1:39 left
e2e on mini/gpt2-m  437/800  loss 2.274  validation loss 2.228  4.6/s  1:14 left
e2e on mini/gpt2-m  583/800  loss 2.634  validation loss 2.204  4.9/s  0:44 left
e2e on mini/gpt2-m  743/800  loss 2.520  validation loss 2.189  5.3/s  0:11 left
e2e on mini/gpt2-m  800/800  loss 2.242  validation loss 2.185  3:02
  BLEU  30.6 (28.4 to 32.7)  mini/gpt2-m, no prompt
  BLEU  40.7 (38.2 to 43.4)  mini/gpt2-m, the tuned prefix

\b
The page   runs/demo/index.html
Go on with
  promptgraft show sst2@mini/bert-m:demo --tokens
  promptgraft eval sst2@mini/bert-m:demo
  promptgraft generate e2e@mini/gpt2-m:demo 'name : The Phoenix | Type : restaurant | food : Fast food | price : high | area : riverside | family friendly : no | near : Raja Indian Cuisine'
  promptgraft tune agnews --model mini/bert-s
"""  # noqa: E501


@dataclass(frozen=True)
class Demo:
    """What the demo does; `tuning` and `writing` are settings of `api.tune`."""

    small: str = "mini/bert-s"
    large: str = "mini/bert-m"
    writer: str = "mini/gpt2-m"
    tuning: Mapping[str, Any] = field(
        default_factory=lambda: {
            "task": "sst2",
            # The minis find "negative" and "positive" without being told what is asked.
            "data": {
                "verbalizer": {0: "no", 1: "yes"},
                "manual": [
                    "{text} Is it good ? {mask} .",
                    "{text} Did they like it ? {mask} .",
                    "Is this worth seeing ? {text} {mask} .",
                ],
            },
            "length": 5,
            "lr": 0.1,
            "steps": 300,
            "evaluate_every": 50,
            "evaluate_rows": 300,
        }
    )
    writing: Mapping[str, Any] = field(
        default_factory=lambda: {
            "task": "e2e",
            "method": "prefix",
            "length": 10,
            "steps": 800,
            "decoding": {"num_beams": 5, "no_repeat_ngram_size": 4},
        }
    )
    recipe: str = "paper"
    """How the prompt is moved; of the ways there are this did best on validation rows."""
    test_rows: int = 1000
    """Reviews that every prompt is scored on."""
    wording_rows: int = 200
    """Validation rows on which the best manual wording is chosen."""
    tables: int = 150
    """Test tables that sentences are written from."""
    samples: int = 6
    """Tables that the page shows."""


def command(
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where runs and page go.")] = Path(
        "runs/demo"
    ),
    library: LibraryPath = None,
) -> None:
    """See it all on one page, in minutes.

    Tunes a soft prompt for sentiment on a small masked model, moves it without training to a
    larger one, tunes a prefix that writes sentences from tables, and shows all of it on one page.
    """
    from promptgraft.library import Library

    for line in run(Demo(), out, Library(library)):
        print(line)


def run(demo: Demo, folder: Path, library: Library) -> list[str]:
    """Do it all and write `folder`/index.html; returns the lines to end with."""
    from promptgraft.analysis import page
    from promptgraft.models import loading

    for name in (demo.small, demo.large, demo.writer):
        loading.load_config(name)  # one that is missing is better missed now than in the middle
    started = time.monotonic()
    graft = _tune_and_move(demo, folder / "sentiment", library)
    writing = _tune_and_write(demo, folder / "tables", library)
    moved = graft.prompts[1][0]
    table = min((sample.table for sample in writing.samples), key=len)
    example = " | ".join(f"{name} : {value}" for name, value in table)
    commands = [
        f"promptgraft show {moved} --tokens",
        f"promptgraft eval {moved}",
        f"promptgraft generate {writing.run.name} '{example}'",
        f"promptgraft tune agnews --model {demo.small}",
    ]
    made = _made(time.monotonic() - started)
    file = folder / "index.html"
    page.save(page.Page(made, graft, writing, commands), file)
    return ["", f"The page   {file}", "Go on with", *(f"  {line}" for line in commands)]


def _tune_and_move(demo: Demo, folder: Path, library: Library) -> Graft:
    from promptgraft import api
    from promptgraft.analysis import page
    from promptgraft.models import FrozenModel

    small, large = FrozenModel.load(demo.small), FrozenModel.load(demo.large)
    task = _task(demo.tuning, demo.test_rows)
    run = _tune(demo.tuning, task, small, folder, library)
    moved, name = api.transfer(
        run.prompt, large, sources=small, recipe=demo.recipe, tag="demo", library=library
    )
    assert run.evaluation is not None
    with terminal.waiting(f"scoring on {small.name} and {large.name}"):
        scores = [
            *_without(demo, small, task),
            _score(small, "the tuned prompt", run.evaluation, ours=True),
            *(without := _without(demo, large, task)),
            after := _score(
                large,
                "the same prompt, moved without training",
                api.evaluate(moved, task, model=large),
                ours=True,
            ),
        ]
    comparison = page.Comparison("accuracy", len(task.rows("test")), scores)
    _tell(comparison)
    what = f"{task.name} accuracy of {large.name}: no prompt, then the prompt of {small.name}"
    return page.Graft(
        page.Headline(what, without[0].value, after.value),
        _tuned_run(run, small, task),
        comparison,
        [(run.name, run.prompt), (name, moved)],
        [
            api.nearest_tokens(run.prompt, model=small),
            api.nearest_tokens(moved, model=large),
        ],
    )


def _tune_and_write(demo: Demo, folder: Path, library: Library) -> Writing:
    from promptgraft import api
    from promptgraft.analysis import page
    from promptgraft.models import FrozenModel

    model = FrozenModel.load(demo.writer)
    task = _task(demo.writing, demo.tables)
    run = _tune(demo.writing, task, model, folder, library)
    assert run.evaluation is not None
    with terminal.waiting(f"writing with {model.name}, without a prompt"):
        bare = api.evaluate(None, task, model=model, **demo.writing.get("decoding", {}))
    before = _score(model, "no prompt", bare)
    after = _score(model, "the tuned prefix", run.evaluation, ours=True)
    top = 10.0 * max(1, math.ceil(max(before.high or 0, after.high or 0) / 10))
    comparison = page.Comparison("BLEU", len(task.rows("test")), [before, after], top)
    _tell(comparison)
    seen = {row["source"] for row in task.rows("train")}
    samples = [
        page.Sample(
            table=[_pair(cell) for cell in row["source"].split(" | ")],
            written=[
                ("With the tuned prefix", run.evaluation.predictions[number]),
                ("The same model without it", bare.predictions[number]),
            ],
            references=task.references(row),
        )
        for number, row in enumerate(task.rows("test"))
        if row["source"] not in seen
    ]
    return page.Writing(
        page.Headline(
            f"{task.name} BLEU of {model.name}: no prompt, then a tuned prefix",
            before.value,
            after.value,
        ),
        _tuned_run(run, model, task),
        comparison,
        samples[: demo.samples],
    )


def _task(settings: Mapping[str, Any], test_rows: int) -> Task:
    from promptgraft import tasks

    task = tasks.load(settings["task"], **settings.get("data", {}))
    return task.subset("test", test_rows, seed=0)


def _tune(
    settings: Mapping[str, Any], task: Task, model: FrozenModel, folder: Path, library: Library
) -> Run:
    from promptgraft import api

    chosen = {name: value for name, value in settings.items() if name != "task"}
    with terminal.progress(f"{task.name} on {model.name}") as report:
        return api.tune(
            model=model,
            task=task,
            library=library,
            report=report,
            out=folder,
            tag="demo",
            **chosen,
        )


def _without(demo: Demo, model: FrozenModel, task: Task) -> list[Score]:
    """What the model does without a prompt, and with the best of the task's manual wordings."""
    from promptgraft import api

    def accuracy(template: str) -> float:
        found = api.evaluate(
            None,
            task,
            model=model,
            template=template,
            split="validation",
            rows=demo.wording_rows,
            whole=False,
        )
        return found.scores[task.metrics[0]]

    best = max(task.manual[model.family], key=accuracy)
    return [
        _score(model, "no prompt", api.evaluate(None, task, model=model)),
        _score(
            model, f"manual wording: {best}", api.evaluate(None, task, model=model, template=best)
        ),
    ]


def _score(model: FrozenModel, how: str, found: Evaluation, ours: bool = False) -> Score:
    """The first metric of an evaluation."""
    from promptgraft.analysis.page import Score

    name, value = next(iter(found.scores.items()))
    return Score(model.name, how, value, *found.intervals[name], ours)


def _tuned_run(run: Run, model: FrozenModel, task: Task) -> TunedRun:
    """A run in facts."""
    from promptgraft.analysis import curves, page

    trained, frozen = (
        run.summary["trainable_parameters"],
        sum(parameter.numel() for parameter in model.model.parameters()),
    )
    outcome = run.outcome
    facts = [
        ("Prompt", run.name),
        ("Virtual tokens", str(len(run.prompt))),
        ("Trained", f"{trained:,} numbers"),
        ("Frozen", f"{frozen:,} numbers of {model.name}"),
        ("Training rows", f"{len(task.rows('train')):,} of {task.name}"),
        *([("Label words", ", ".join(task.verbalizer.values()))] if task.verbalizer else []),
        (
            "Steps",
            f"{outcome.steps} in {terminal.clock(outcome.seconds)}, best at {outcome.best_step}",
        ),
    ]
    lines = curves.read(run.folder / "metrics.jsonl")
    template = run.prompt.card.template or ""
    return page.TunedRun(run.name, facts, template, lines, run.summary["validation"])


def _tell(comparison: Comparison) -> None:
    for score in comparison.scores:
        print(
            f"  {comparison.metric} {score.value:5.1f} ({score.low:.1f} to {score.high:.1f})  "
            f"{score.name}, {score.how}"
        )


def _made(seconds: float) -> str:
    """When, in what time and where."""
    import torch

    cores = os.cpu_count()
    return (
        f"{datetime.now():%d %B %Y, %H:%M}. Made in {terminal.clock(seconds)} minutes on {cores} "
        f"{platform.machine()} cores with torch {torch.__version__}."
    )


def _pair(cell: str) -> tuple[str, str]:
    name, _, value = cell.partition(" : ")
    return name.strip(), value.strip()
