"""Columns and label words as they are guessed from a table."""

import pytest

from promptgraft.errors import DataError
from promptgraft.tasks.guessing import first_rows, guess

LONG = "a text of some length, number"


def rows(**columns):
    """Twenty rows; a column is a function of the row's number."""
    return [{name: make(number) for name, make in columns.items()} for number in range(20)]


def test_labels_that_are_words_stand_for_themselves():
    table = rows(id=str, label=lambda n: ("not_so", "so")[n % 2], body=lambda n: f"{LONG} {n}")
    found = guess(table)
    assert found.kind == "classification"
    assert found.columns == {"text": "body", "label": "label"}
    assert found.words == {"not_so": "not so", "so": "so"}
    assert found.sure


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (["10", "2"], {"2": "bad", "10": "good"}),
        ([5, 1, 3], {"1": "bad", "3": "okay", "5": "good"}),
        (
            ["1", "2", "3", "4", "5"],
            dict(zip("12345", ("terrible", "bad", "okay", "good", "great"), strict=True)),
        ),
    ],
)
def test_numbers_get_words_by_their_order(labels, words):
    found = guess(rows(text=lambda n: f"{LONG} {n}", stars=lambda n: labels[n % len(labels)]))
    assert list(found.words.items()) == list(words.items())
    assert not found.sure


def test_many_numbers_are_scores():
    found = guess(rows(text=lambda n: f"{LONG} {n}", score=lambda n: n % 7 / 2))
    assert (found.kind, found.words) == ("regression", {})


def test_two_columns_of_texts_are_read_and_written_in_their_order():
    table = rows(article=lambda n: f"{LONG} {n} and more", summary=lambda n: f"short {n}")
    assert guess(table).kind == "generation"
    assert guess(table).columns == {"source": "article", "target": "summary"}
    turned = rows(summary=lambda n: f"short {n}", article=lambda n: f"{LONG} {n} and more")
    assert guess(turned).columns == {"source": "summary", "target": "article"}


def test_columns_that_are_known_come_first():
    table = rows(a=lambda n: f"{LONG} {n}", b=lambda n: str(n % 2), c=lambda n: f"s{n % 3}")
    found = guess(table, label="c")
    assert found.columns == {"text": "a", "label": "c"}
    assert guess(table, text="c").columns == {"text": "c", "label": "b"}
    with pytest.raises(DataError, match=r"no column 'd'; there are a, b, c"):
        guess(table, label="d")


def test_what_is_no_table_of_two_columns(tmp_path):
    with pytest.raises(DataError, match="one column, a"):
        guess(rows(a=str))
    (tmp_path / "empty.csv").write_text("a,b\n")
    with pytest.raises(DataError, match="has no rows"):
        first_rows(str(tmp_path / "empty.csv"))
