"""A task in other words."""

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
