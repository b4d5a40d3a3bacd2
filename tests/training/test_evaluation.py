"""Scores of a model's answers: over all rows and, where a task asks for it, over groups of them."""

from dataclasses import replace

from conftest import tiny
from promptgraft.training import evaluate
from toy import a_task


def test_groups_are_scored_as_if_they_were_all_there_is():
    task = replace(a_task(20), groups="label", metrics=("accuracy", "f1"))
    model, rows = tiny("bert"), task.rows("train")
    found = evaluate(model, task, rows, None, "{text} {mask} .")
    alone = {
        str(label): evaluate(
            model, task, [row for row in rows if row["label"] == label], None, "{text} {mask} ."
        ).scores
        for label in (0, 1)
    }
    assert found.groups == alone
    assert evaluate(model, task, rows, None, "{text} {mask} .", intervals=False).groups == {}
    assert evaluate(model, a_task(20), rows, None, "{text} {mask} .").groups == {}
