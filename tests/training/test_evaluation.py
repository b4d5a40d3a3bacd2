"""Scores of a model's answers: over all rows and, where a task asks for it, over groups of them."""

from dataclasses import replace

from conftest import tiny
from promptgraft import metrics
from promptgraft.metrics import registry
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
    assert evaluate(model, task, rows, None, "{text} {mask} .", whole=False).groups == {}
    assert evaluate(model, a_task(20), rows, None, "{text} {mask} .").groups == {}


def test_what_the_field_reports_is_counted_at_the_end_without_loading_models(monkeypatch):
    lacking = replace(metrics.get("nist"), lack=lambda: "a tool")
    monkeypatch.setitem(registry._METRICS, "nist", lacking)
    report = ("rouge1", "nist", "accuracy", "bertscore:nowhere")
    task = replace(a_task(20), metrics=("accuracy",), report=report)
    model, rows = tiny("bert"), task.rows("train")
    found = evaluate(model, task, rows, None, "{text} {mask} .")
    assert list(found.scores) == list(found.intervals) == ["accuracy", "rouge1"]
    assert found.lacking == {"nist": "a tool"}
    quick = evaluate(model, task, rows, None, "{text} {mask} .", whole=False)
    assert quick.scores == {"accuracy": found.scores["accuracy"]}
