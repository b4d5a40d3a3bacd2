"""Score a finished file of outputs against a task's references."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from promptgraft import metrics, tasks
from promptgraft.errors import DataError
from promptgraft.tasks import Task


@dataclass(frozen=True)
class Scores:
    """What outputs are worth.

    scores     metric -> value
    intervals  metric -> 95 % bootstrap interval over rows, where the metric has one
    groups     group -> metric -> value, for tasks whose groups are reported (WebNLG: seen, unseen)
    lacking    metric -> what it needs and is not here, for those that were left out
    """

    scores: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    groups: dict[str, dict[str, float]]
    lacking: dict[str, str]


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
    lacking = {}
    if names is None:
        names = chosen.report or chosen.metrics
        lacking = {name: lack for name in names if (lack := metrics.get(name).lack())}
        names = [name for name in names if name not in lacking]
    references = [chosen.references(row) for row in rows]
    intervals = {
        name: metrics.interval(name, outputs, references)
        for name in names
        if metrics.get(name).bootstrap
    }
    groups = {}
    if chosen.groups:
        groups = metrics.score_groups(names, outputs, references, chosen.groups_of(rows))
    return Scores(metrics.score(names, outputs, references), intervals, groups, lacking)
