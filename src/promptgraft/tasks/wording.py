"""A task in other words: its name before every row, its labels as other signs."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from promptgraft.tasks.task import Task

Labels = Literal["natural", "synthetic", "numeric"]


def with_labels(task: Task, labels: Labels, number: int = 0) -> Task:
    """The task with other label words (CrossPT, section 4.5).

    labels  natural: its own; numeric: 0, 1, 2, … as in every other task; synthetic: A0, A1, … for
            the first task, B0, B1, … for the second
    number  which task it is among those that are tuned together
    """
    if labels == "natural" or task.verbalizer is None:
        return task
    letter = chr(ord("A") + number) if labels == "synthetic" else ""
    words = {label: f"{letter}{place}" for place, label in enumerate(task.verbalizer)}
    return with_words(task, words)


def with_words(task: Task, words: Mapping[str, str]) -> Task:
    """The task with another word for each label; where f1:yes was counted, its new word is."""
    new = {f"f1:{word}": f"f1:{words[label]}" for label, word in (task.verbalizer or {}).items()}
    metrics, report = ([new.get(m, m) for m in names] for names in (task.metrics, task.report))
    return replace(task, verbalizer=words, metrics=tuple(metrics), report=tuple(report))


def with_prefix(template: str, name: str) -> str:
    """The template with a task's name before its text, behind the prompt's first place."""
    slot = re.match(r"\s*\{prompt[^}]*\}", template)
    start = slot.end() if slot else 0
    return f"{template[:start]}{' ' if start else ''}{name}: {template[start:].lstrip()}"
