"""`promptgraft tune`: tune a prompt for a task and a model."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from promptgraft.cli import completion, terminal
from promptgraft.cli.options import Json, LibraryPath

if TYPE_CHECKING:
    from promptgraft.api import JointRun, Plan, Run, SharedRun, Weights
    from promptgraft.library import Library

EPILOG = """\b
Settings are those of api.TuneConfig: steps, lr, batch_size, length, init, module, seed, ...
A mistyped one is refused and the nearest named. data.* describe the task's data.

\b
What the library already knows about other tasks (transfer.* are settings of the method):
  promptgraft tune reviews.csv --method crosspt --pool '*@mini/t5-s' few_shot=16 \\
      transfer.configuration=SILP

\b
Several tasks together, each helped by the others (sampling, task_prefix, labels):
  promptgraft tune mrpc rte sst2 --method crosspt transfer.configuration=SLPN few_shot=16

\b
One prompt for several models, in words that all know; it moves better to others:
  promptgraft tune sst2 -m mini/bert-s -m mini/roberta-s

\b
Your own data:
  promptgraft tune examples/reviews.csv --model mini/bert-s \\
      data.text=review data.label=stars 'data.verbalizer={1: bad, 5: good}'

\b
Example:
$ promptgraft tune sst2 --model mini/bert-s steps=600
sst2 on mini/bert-s  497/600  loss 0.569  validation accuracy 70.8  17.3/s  0:06 left
sst2 on mini/bert-s  600/600  loss 0.430  validation accuracy 72.4  0:37
accuracy 71.0 (68.9 to 73.1)  on 1821 test rows
Prompt  sst2@mini/bert-s in ~/.promptgraft/library
Run     runs/sst2@mini-bert-s-soft-prompt, with curves.png and results.json
Next    promptgraft show sst2@mini/bert-s
"""


def command(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TASK|KEY=VALUE",
            help="A built-in task, a file, a folder or hub:NAME; then any setting.",
            autocompletion=completion.tasks,
        ),
    ] = None,
    task: Annotated[
        list[str] | None,
        typer.Option("--task", "-t", help="Names a TASK as well.", autocompletion=completion.tasks),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            help="A mini, a local folder or a model of the hub; several of them share one prompt, "
            "made of words that all know.",
            autocompletion=completion.models,
        ),
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(
            help="soft-prompt or prefix; with --pool crosspt, ptg, spot, attempt, mpt, dept, or "
            "auto, whose prompts vote; to compare, fine-tuning, top-layers, "
            "bitfit, adapter or lora. [default: soft-prompt]"
        ),
    ] = None,
    pool: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="Source prompts of the library to borrow from: names and patterns such as "
            "'*@mini/t5-s', with commas between.",
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Settings as YAML, where task and model may be lists; the line goes before.",
        ),
    ] = None,
    few_shot: Annotated[
        int | None, typer.Option(metavar="N", help="Training rows of every label, or in all.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="The run's. [default: runs/TASK@MODEL-…]")
    ] = None,
    tag: Annotated[str | None, typer.Option(help="Keep it as TASK@MODEL:TAG.")] = None,
    resume: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Go on with the run that stopped there.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what the run would take.")
    ] = False,
    library: LibraryPath = None,
    as_json: Json = False,
) -> None:
    """Tune a soft prompt or a prefix.

    It is scored on the test split and kept in the library. Several tasks are tuned together, a
    prompt for each, by the methods crosspt, attempt and mpt.
    """
    words = words or []
    tasks = [word for word in words if "=" not in word] + (task or [])
    options = {
        "task": tasks or None,
        "model": model,
        "method": method,
        "pool": pool,
        "few_shot": few_shot,
        "out": out,
        "tag": tag,
    }
    given = {name: value for name, value in options.items() if value is not None}
    if resume and (words or given or config or dry_run):
        raise typer.BadParameter("--resume takes the settings of the run; give no others.")
    if not resume and not words and not task and config is None:
        raise typer.BadParameter("name a task, such as sst2 or reviews.csv, or give --config.")

    from promptgraft import api
    from promptgraft.api import samples
    from promptgraft.library import Library
    from promptgraft.training import parse_settings, processes

    pairs = [word for word in words if "=" in word]
    store = Library(library)
    run: Run | JointRun | SharedRun | Weights
    if resume:
        with terminal.progress(f"{resume}", resume / samples.FILE) as report:
            run = api.resume(resume, library=store, report=report)
        if processes.first():
            _print(run, store, as_json)
        return
    settings = api.settings(config, parse_settings(pairs, api.TuneConfig) | given)
    if dry_run and isinstance(settings, api.JointConfig | api.SharedConfig):
        raise typer.BadParameter("--dry-run measures one task and one model at a time.")
    if dry_run:
        with terminal.waiting("measuring"):
            plan = api.plan(settings)
        _print_plan(plan, settings.steps, as_json)
        return
    shown = f"{settings.task} on {settings.model}", settings.folder() / samples.FILE
    with terminal.progress(*shown) as report:
        run = api.run(settings, library=store, report=report)
    if processes.first():
        _print(run, store, as_json)


def _print(run: Run | JointRun | SharedRun | Weights, library: Library, as_json: bool) -> None:
    from promptgraft.api import JointRun, SharedRun, Weights

    if isinstance(run, JointRun | SharedRun):
        _print_several(run, library, as_json)
        return
    for text in run.summary["notes"]:
        terminal.note(text)
    if run.summary["rows_cut"]:
        terminal.note(f"{run.summary['rows_cut']} training rows were too long and were cut.")
    if as_json:
        name = {} if isinstance(run, Weights) else {"name": run.name}
        terminal.print_json({**name, "folder": run.folder, **run.summary})
        return
    if run.evaluation is not None:
        rows = len(run.evaluation.predictions)
        terminal.print_scores(run.evaluation, f"{rows} test rows")
    if isinstance(run, Weights):
        count = run.summary["trainable_parameters"]
        print(f"Trained {count:,} parameters, {terminal.percent(run.share)} of the model's")
        print(f"Run     {run.folder}, with weights.safetensors, curves.png and results.json")
        return
    if members := run.summary.get("members"):
        print(f"Votes   {', '.join(members)}; each by itself is in {run.folder / 'members'}")
    if run.borrowed is not None:
        (shares,) = run.borrowed.shares().values()
        print(f"Borrowed  {_shares(shares)}; the picture is {run.folder / 'borrowed.png'}")
    if run.name == str(run.folder):
        print(f"Prompt  {run.name}, of the model that was tuned with it: {run.folder / 'model'}")
    else:
        print(f"Prompt  {run.name} in {library.path}")
    print(f"Run     {run.folder}, with curves.png and results.json")
    print(f"Next    promptgraft show {run.name}")


def _print_several(run: JointRun | SharedRun, library: Library, as_json: bool) -> None:
    """A prompt for each task, or for each model."""
    from promptgraft import tasks
    from promptgraft.api import JointRun, SharedRun

    if as_json:
        terminal.print_json({"names": run.names, "folder": run.folder, **run.summary})
        return
    found = run.borrowed if isinstance(run, JointRun) else None
    borrowed = found.shares() if found else {}
    for key, name in run.names.items():
        scores = [terminal.scores(run.evaluations[key])] if key in run.evaluations else []
        shares = borrowed.get(tasks.name_of(key))
        print("  ".join([name, *scores, *([_shares(shares)] if shares else [])]))
    pictures = "borrowed.png, curves.png" if borrowed else "curves.png"
    print(f"Prompts in {library.path}")
    print(f"Run     {run.folder}, with {pictures} and results.json")
    if isinstance(run, SharedRun):
        print(f"Next    promptgraft transfer {' '.join(run.names.values())} --to MODEL")


def _shares(shares: dict[str, float]) -> str:
    """The largest three, for people."""
    return ", ".join(f"{100 * share:.0f} % {name}" for name, share in list(shares.items())[:3])


def _print_plan(plan: Plan, steps: int, as_json: bool) -> None:
    if as_json:
        terminal.print_json(asdict(plan) | {"steps": steps})
        return
    terminal.print_facts(
        [
            ("Trainable", f"{plan.trainable:,} parameters"),
            ("Stored", f"{plan.stored:,} numbers, {terminal.percent(plan.share)} of the model's"),
            ("Frozen", f"{plan.frozen:,} parameters"),
            ("Training rows", f"{plan.rows:,}"),
            *_work(plan, steps),
        ]
    )


def _work(plan: Plan, steps: int) -> list[tuple[str, str]]:
    if plan.flops_per_step is None or plan.bytes_peak is None:
        return []
    return [
        ("Work", f"{plan.flops_per_step / 1e9:.1f} GFLOPs a step, {steps} steps"),
        ("Peak memory", f"{plan.bytes_peak / 2**20:,.0f} MiB"),
    ]
