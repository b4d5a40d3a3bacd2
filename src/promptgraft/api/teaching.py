"""Answers in place of labels: what prompts say to a task's inputs, for another prompt to learn.

Where a prompt that was moved without training carries little, the model it came from can answer the
task's inputs, whatever their labels, and the moved prompt be tuned on its answers (distillation by
the likeliest answer: Kim and Rush 2016).
"""

from dataclasses import replace
from functools import partial

from promptgraft.api.config import TuneConfig
from promptgraft.api.names import model_for, resolve, runnable
from promptgraft.errors import ConfigError
from promptgraft.library import Library
from promptgraft.prompts import Parent
from promptgraft.tasks import Row, Task
from promptgraft.tasks.sampling import sample
from promptgraft.tasks.task import Split
from promptgraft.training import predict


def taught(
    task: Task, config: TuneConfig, library: Library | None
) -> tuple[Task, tuple[Parent, ...]]:
    """The task with the answers of `config.teachers` for labels, and who gave them.

    As many rows of training and validation as the run looks at, each answered by every teacher
    on its own model. Test rows keep their labels: they score the run and teach nothing.
    """
    if not config.teachers:
        return task, ()
    if task.kind == "regression":
        raise ConfigError(f"Teachers answer with labels or texts; {task.name} asks for numbers.")
    most = {"train": config.steps * config.batch_size, "validation": config.evaluate_rows}
    asked = {
        split: sample([_without_label(task, row) for row in task.rows(split)], rows, config.seed)
        for split, rows in most.items()
        if split in task.splits
    }
    given: dict[str, list[Row]] = {split: [] for split in asked}
    parents = []
    for name in config.teachers:
        prompt = resolve(name, library)
        model = model_for(prompt, None)
        own = runnable(name, prompt, model, library)
        for split, rows in asked.items():
            answers = predict(model, task, rows, own, **config.decoding)
            given[split] += map(task.answered, rows, answers)
        parents.append(Parent(name=name, content_hash=prompt.content_hash, relation="taught-by"))
    splits = {split: Split(partial(list, rows)) for split, rows in given.items()}
    return replace(task, splits={**task.splits, **splits}), tuple(parents)


def _without_label(task: Task, row: Row) -> Row:
    """So that not even which rows are drawn depends on labels."""
    return {name: value for name, value in row.items() if name not in (task.target, "references")}
