"""`promptgraft transfer`: move a prompt to another model, without training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from promptgraft.cli import completion, terminal
from promptgraft.cli.options import Json, LibraryPath

if TYPE_CHECKING:
    from promptgraft.prompts import SoftPrompt

EPILOG = """\b
Methods: code (the default), relative, linear, procrustes, projector, discretize, direct, manual, random.
Recipes: paper, paper-code. KEY=VALUE are the method's settings: atoms=4, frame=plain, anchors=1000; data.* the task's.

\b
Two sources, and the choice of settings by 200 labelled rows:
  promptgraft transfer sst2@mini/bert-s sst2@mini/roberta-s --to mini/bert-m
  promptgraft transfer sst2@mini/bert-s --to mini/bert-m --select-on dev

\b
The source answers the task's rows, and the moved prompt learns its answers; no label is looked at:
  promptgraft transfer sst2@mini/bert-s --to mini/bert-m --teach 200

\b
Example:
$ promptgraft transfer sst2@mini/bert-s --to mini/bert-m
sst2@mini/bert-m: 20 virtual tokens by transfer:code
Matching loss 0.017 over 3,000 anchors, 34% of the target's tokens
Next: promptgraft eval sst2@mini/bert-m
$ promptgraft eval sst2@mini/bert-m
accuracy 63.9 (61.8 to 66.1)  on 1821 test rows
"""  # noqa: E501


def command(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="PROMPT... [KEY=VALUE]...",
            help="Names in the library, or folders: several of one task; then any setting.",
            autocompletion=completion.prompts,
        ),
    ],
    to: Annotated[
        str,
        typer.Option(
            metavar="MODEL",
            help="A mini, a local folder or a model of the hub.",
            autocompletion=completion.models,
        ),
    ],
    method: Annotated[str | None, typer.Option(help="How. [default: code]")] = None,
    recipe: Annotated[str | None, typer.Option(help="Settings that go together.")] = None,
    select_on: Annotated[
        str | None,
        typer.Option(metavar="SPLIT", help="Choose the method by labelled rows, such as dev."),
    ] = None,
    teach: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Then tune it for N steps on the sources' answers, without labels.",
        ),
    ] = None,
    refine: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Then tune it for N steps, beside a random start."),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(
            "--task",
            "-t",
            help="To teach, select or refine on. [default: the prompt's]",
            autocompletion=completion.tasks,
        ),
    ] = None,
    repair_lengths: Annotated[
        bool, typer.Option("--repair-lengths", help="Repeat or cut prompts to the first's length.")
    ] = False,
    tag: Annotated[str | None, typer.Option(help="Keep it as TASK@MODEL:TAG.")] = None,
    library: LibraryPath = None,
    as_json: Json = False,
) -> None:
    """Move a soft prompt to another model.

    Without training, unless --teach or --refine asks for some; the moved prompt is kept in the
    library.
    """
    names = [word for word in words if "=" not in word]
    if not names:
        raise typer.BadParameter("name a prompt, such as sst2@mini/bert-s.")

    from promptgraft import api
    from promptgraft.api.names import own_task
    from promptgraft.library import Library
    from promptgraft.training import parse_settings

    store = Library(library)
    if (teach or refine) and task is None:
        own_task(api.resolve(names[0], store).card, "tune it on")  # before it is moved and kept
    settings = parse_settings([word for word in words if "=" in word])
    data = settings.pop("data", None)
    with terminal.waiting(f"moving {' and '.join(names)} to {to}"):
        moved, name = api.transfer(
            names,
            to,
            method=method,
            recipe=recipe,
            settings=settings,
            repair_lengths=repair_lengths,
            select_on=select_on,
            task=task,
            data=data,
            tag=tag,
            library=store,
        )
    found: dict[str, Any] = {"name": name, "card": moved.card.model_dump(mode="json")}
    if not as_json:
        _print(moved, name)
    if teach is not None:
        with terminal.progress(f"{name}, taught") as report:
            run = api.teach(name, teach, names, tag=_tagged(tag, "taught"), task=task, data=data,
                            library=store, report=report)  # fmt: skip
        name = run.name
        found["taught"] = run.summary
        if not as_json:
            scores = f"  {terminal.scores(run.evaluation)}" if run.evaluation else ""
            print(f"Taught by {' and '.join(names)}{scores}")
            print(f"Prompt  {name}")
    if refine is not None:
        with terminal.progress(f"{name}, further") as report:
            both = api.refine(name, refine, tag=_tagged(tag, "refined"), task=task, data=data,
                              library=store, report=report)  # fmt: skip
        runs = {"transferred": both.warm, "random": both.cold}
        found["refined"] = {start: run.summary for start, run in runs.items()}
        if not as_json:
            for start, run in runs.items():
                scores = f"  {terminal.scores(run.evaluation)}" if run.evaluation else ""
                print(f"From {start:<12}{scores}")
            print(f"Prompt  {both.warm.name}, curves in {both.picture}")
    if as_json:
        terminal.print_json(found)


def _tagged(tag: str | None, what: str) -> str:
    return what if tag is None else f"{tag}-{what}"


def _print(moved: SoftPrompt, name: str) -> None:
    from promptgraft import tasks

    facts: Any = moved.card.hyperparameters
    trust = facts["trust"]
    print(f"{name}: {len(moved)} virtual tokens by {moved.card.method}")
    print(f"Matching loss {trust['matching_loss']:.3f} over {trust['anchors']:,} anchors, "
          f"{trust['coverage']:.0%} of the target's tokens")  # fmt: skip
    if trust["spread"] is not None:
        print(f"The sources alone differ by {trust['spread']:.3f} (1 - cosine)")
    if facts["labels_used"]:
        chosen = facts["selected_on"]
        print(f"Chosen among {len(chosen['tried'])} settings by {chosen['rows']} labelled rows, so "
              "not zero-shot")  # fmt: skip
    task = moved.card.task
    at_hand = task is not None and tasks.known(task)
    print(f"Next: promptgraft eval {name}{'' if at_hand else ' --task FILE'}")
