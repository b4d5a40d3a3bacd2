"""`promptgraft init`: a few questions, and the settings of a run as a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from promptgraft.cli import completion, terminal
from promptgraft.cli.options import Model

if TYPE_CHECKING:
    from promptgraft.tasks.guessing import Guess

METHODS = ("soft-prompt", "prefix")

EPILOG = """\b
Example:
$ promptgraft init examples/reviews.csv --yes
reviews.yaml
Next: promptgraft tune --config reviews.yaml
$ sed -n '/^data/,/5/p' reviews.yaml
data:
  # The column that is read
  text: review
  # The column with the answers
  label: stars
  # The word that stands for each label: guessed from their order, correct it
  verbalizer:
    '1': bad
    '5': good
"""


def command(
    task: Annotated[
        str | None,
        typer.Argument(
            metavar="TASK", help="A built-in task, a file or a folder.",
            autocompletion=completion.tasks,
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="[default: TASK.yaml]")
    ] = None,
    model: Model = None,
    method: Annotated[str | None, typer.Option(help="soft-prompt or prefix.")] = None,
    text: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="The column that is read.")
    ] = None,
    label: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="The column with the answers.")
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Ask nothing; what is not given is guessed.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Replace the file if it is there.")
    ] = False,
) -> None:  # fmt: skip
    """Write the settings of a run to a YAML file, with comments.

    It asks for the task, its columns and label words, the model and the method, and proposes an
    answer to each.
    """
    from promptgraft import tasks
    from promptgraft.errors import ConfigError

    asking = not yes
    if task is None:
        if yes:
            raise typer.BadParameter("with --yes name a task, such as sst2 or reviews.csv.")
        task = typer.prompt("Task: a built-in one, a file or a folder", err=True)
    file = out or Path(f"{tasks.name_of(str(task))}.yaml")
    if file.exists() and not force:
        raise ConfigError(f"{file} is there already. Name another with --out, or use --force.")
    data, kind, guessed = _data(str(task), text, label, asking)
    model = model or _asked("Model", _model(kind), asking)
    method = method or _asked("Method", METHODS[kind == "generation"], asking)

    from promptgraft import files
    from promptgraft.api.outline import outline

    with terminal.waiting("checking"):
        content = outline(str(file), str(task), model, method, data, guessed)
    with files.whole_file(file) as temporary:
        temporary.write_text(content, "utf-8")
    print(file)
    terminal.note(f"Next: promptgraft tune --config {file}")


def _data(
    task: str, text: str | None, label: str | None, asking: bool
) -> tuple[dict[str, Any], str, bool]:
    """The task's settings, its kind, and whether label words were guessed."""
    from promptgraft import tasks
    from promptgraft.tasks import guessing

    path = Path(task)
    if tasks.known(task) or not path.exists() or path.suffix in (".yaml", ".yml"):
        if text or label:
            raise typer.BadParameter("--text and --label are for a file or folder of your own.")
        return {}, tasks.load(task).kind, False
    rows = guessing.first_rows(task)
    found = guessing.guess(rows, text, label)
    if asking:
        found = _corrected(found, rows)
    data: dict[str, Any] = dict(found.columns)
    guessed = not found.sure
    if found.kind == "regression":
        data["kind"] = found.kind
    if found.kind == "classification":
        words = _words(found.words) if asking else dict(found.words)
        data["verbalizer"] = words
        guessed = guessed and words == found.words
    return data, found.kind, guessed


def _corrected(found: Guess, rows: list[dict[str, Any]]) -> Guess:
    """The guess, with the columns as the user has them."""
    from promptgraft.tasks import guessing

    terminal.note(f"Columns: {', '.join(rows[0])}")
    text, label = found.columns.values()
    text = _asked("The column that is read", text, True)
    label = _asked("The column with the answers", label, True)
    return guessing.guess(rows, text, label)


def _words(found: Mapping[str, str]) -> dict[str, str]:
    return {
        label: _asked(f"The word for label {label}", word, True) for label, word in found.items()
    }


def _model(kind: str) -> str:
    """The mini to propose."""
    from promptgraft import minis

    wanted = "mini/bert-s" if kind == "classification" else "mini/gpt2-m"
    names = minis.names()
    return wanted if wanted in names or not names else names[0]


def _asked(what: str, proposal: str, asking: bool) -> str:
    if not asking:
        return proposal
    answer: str = typer.prompt(what, default=proposal, err=True)
    return answer
