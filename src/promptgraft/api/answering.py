"""Ask prompts side by side: one input, several prompts, one batch."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from promptgraft.api.names import library_name, resolve, runnable, task_for
from promptgraft.errors import DataError
from promptgraft.library import Library
from promptgraft.models import FrozenModel
from promptgraft.prompts import Prompt


@dataclass(frozen=True)
class Answer:
    """What a prompt says to an input.

    text     the word it chose, or what it wrote
    chances  of the label words, best first; empty where it wrote
    """

    prompt: str
    text: str
    chances: dict[str, float] = field(default_factory=dict)


def answer(
    prompts: Sequence[str | Prompt],
    texts: Sequence[str],
    model: FrozenModel,
    *,
    library: Library | None = None,
    **settings: Any,
) -> list[Answer]:
    """What each of several prompts of one model answers: a row for each, in mixed batches.

    texts     the input; two for tasks that read two. Each template takes as many as it has fields
    settings  of those that write, as for `FrozenModel.generate`

    A prompt with label words chooses among them; others write, or fill a masked model's mask.
    Raises DataError if a prompt's template reads more texts than there are.
    """
    values = [resolve(one, library) if isinstance(one, str) else one for one in prompts]
    names = [one if isinstance(one, str) else library_name(one.card, None) for one in prompts]
    run = [runnable(one, value, model, library) for one, value in zip(prompts, values, strict=True)]
    rows = [
        _row(name, model.fields(value), texts) for name, value in zip(names, values, strict=True)
    ]
    words = [tuple(dict.fromkeys((value.card.verbalizer or {}).values())) for value in values]
    writing = [number for number, own in enumerate(words) if not own]
    found: dict[int, Answer] = {}
    for own in filter(None, dict.fromkeys(words)):
        choosing = [number for number, some in enumerate(words) if some == own]
        scores = model.choice_scores(
            [rows[number] for number in choosing], own, [run[number] for number in choosing]
        )
        for number, chances in zip(choosing, scores.softmax(1).tolist(), strict=True):
            best = dict(sorted(zip(own, chances, strict=True), key=lambda pair: -pair[1]))
            found[number] = Answer(names[number], next(iter(best)), best)
    if writing:
        asked = [rows[number] for number in writing]
        by = [run[number] for number in writing]
        masked = model.family == "masked"
        written = model.fill(asked, by) if masked else model.generate(asked, by, **settings)
        for number, text in zip(writing, written, strict=True):
            found[number] = Answer(names[number], text)
    return [found[number] for number in range(len(values))]


def example(
    prompt: str | Prompt, model: FrozenModel, number: int = 0, *, library: Library | None = None
) -> list[str]:
    """The texts of a row that the prompt's own task has for its test, in its template's order.

    number  of the row, counted round and round

    Raises ConfigError if the task is not at hand.
    """
    value = resolve(prompt, library) if isinstance(prompt, str) else prompt
    task = task_for(value, None, {})
    rows = task.rows("test" if "test" in task.splits else "train")
    row = rows[number % len(rows)]
    return [str(row.get(name, "")) for name in model.fields(value)]


def _row(name: str, fields: Sequence[str], texts: Sequence[str]) -> dict[str, str]:
    if len(fields) > len(texts):
        raise DataError(
            f"{name} reads {len(fields)} texts ({', '.join(fields)}), got {len(texts)}."
        )
    return dict(zip(fields, texts, strict=False))
