"""Score a finished file of outputs against a task's references."""

from collections.abc import Mapping, Sequence
from typing import Any

from promptgraft import tasks
from promptgraft.errors import DataError
from promptgraft.tasks import Task
from promptgraft.training import Scores
from promptgraft.training import score as score_rows


def score(
    task: str | Task,
    outputs: Sequence[str],
    *,
    split: str = "test",
    names: Sequence[str] | None = None,
    data: Mapping[str, Any] | None = None,
) -> Scores:
    """Score outputs, one for each row of a split in its order.

    names  metrics; default: those that the field reports for the task (`Task.report`), without
           the ones that lack a package or program here. A metric that is named must be there
    data   settings of a task given by name or file, as `tasks.load` takes them

    Raises DataError if there are not as many outputs as rows.
    """
    chosen = task if isinstance(task, Task) else tasks.load(task, **(data or {}))
    rows = chosen.rows(split)
    if len(outputs) != len(rows):
        raise DataError(
            f"There are {len(outputs)} outputs, and the {split} split of {chosen.name} has "
            f"{len(rows)} rows; give one for each row, in their order."
        )
    if names is None:
        return score_rows(chosen, rows, outputs, (), chosen.report or chosen.metrics)
    return score_rows(chosen, rows, outputs, names)
