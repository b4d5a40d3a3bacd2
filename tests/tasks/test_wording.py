"""A task in other words."""

from dataclasses import replace

import pytest

from promptgraft.tasks.wording import with_labels, with_prefix
from toy import a_task


def test_labels():
    task = a_task()
    assert with_labels(task, "natural") is task
    assert with_labels(task, "numeric", 3).verbalizer == {"0": "0", "1": "1"}
    other = with_labels(task, "synthetic", 1)
    assert other.verbalizer == {"0": "B0", "1": "B1"}
    assert [other.answer(row) for row in other.rows("train")[:2]] == ["B0", "B1"]


def test_a_metric_of_one_word_follows_it():
    task = replace(a_task(), metrics=("accuracy", "f1:good"))
    assert with_labels(task, "synthetic", 2).metrics == ("accuracy", "f1:C1")
    assert with_labels(task, "numeric").metrics == ("accuracy", "f1:1")


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{prompt} {text} {mask} .", "{prompt} rte: {text} {mask} ."),
        ("{prompt:5} {text} {prompt:5}", "{prompt:5} rte: {text} {prompt:5}"),
        ("{text} => {prompt}", "rte: {text} => {prompt}"),
    ],
)
def test_prefixes(template, expected):
    assert with_prefix(template, "rte") == expected
