"""Filters choose what a literal reading of the cards chooses, and errors point at the place."""

import pytest
import torch

from promptgraft.errors import PromptgraftError
from promptgraft.library import Library, filters
from promptgraft.prompts import ModelReference, Parent, PromptCard, SoftPrompt

FAMILIES = {"bert": "masked", "gpt2": "causal", "t5": "seq2seq"}
KNOWN = ("task", "length", "base.name", "base.family", "metrics.test.accuracy", "metrics.loss")


def card(number: int) -> PromptCard:
    name = list(FAMILIES)[number % 3]
    return PromptCard(
        kind="soft-prompt",
        length=2,
        base=ModelReference(
            name=f"mini/{name}-{'sm'[number % 2]}",
            fingerprint="ab",
            tokenizer_hash="cd",
            family=FAMILIES[name],
            embedding_size=3,
        ),
        task=f"task{number}" if number != 5 else None,
        hyperparameters={"lr": 10.0**-number, "data": {"text": "a b", "clip": number % 2 == 0}},
        metrics={"test.accuracy": 10.0 * number, "validation.accuracy": 9.0 * number}
        | ({"nan": float("nan")} if number == 2 else {}),
        verbalizer={"0": "bad"} if number < 3 else None,
        created=f"2026-0{number + 1}-01T00:00:00Z",
        notes="and so on" if number == 4 else None,
        parents=(Parent(name="other@m", content_hash="ab", relation="mixed-from"),)
        if number == 1
        else (),
    )


CARDS = {number: card(number) for number in range(6)}
FILTERS = {
    "metric.accuracy>25": lambda c: c.metrics["test.accuracy"] > 25,
    "metric.accuracy > 25 and base~mini/*-s": lambda c: (
        c.metrics["test.accuracy"] > 25 and c.base.name.endswith("-s")
    ),
    "accuracy = 36": lambda c: c.metrics["validation.accuracy"] == 36,
    "test.accuracy=36": lambda c: False,
    "lr <= 1e-3": lambda c: c.hyperparameters["lr"] <= 1e-3,
    "data.clip = true": lambda c: c.hyperparameters["data"]["clip"],
    "text = 'a b'": lambda c: True,
    "family=causal or family=seq2seq": lambda c: c.base.family != "masked",
    "not family=causal and length=2": lambda c: c.base.family != "causal",
    "not (family=causal or task=task0)": lambda c: c.base.family != "causal" and c.task != "task0",
    "task": lambda c: c.task is not None,
    "not task": lambda c: c.task is None,
    "task != task1": lambda c: c.task != "task1",
    "task !~ task[1-3]": lambda c: c.task not in ("task1", "task2", "task3"),
    "task ~ task[!1-3]": lambda c: c.task in ("task0", "task4"),
    "created > 2026-03": lambda c: c.created > "2026-03",
    'notes="and so on"': lambda c: c.notes,
    "notes='and so on' or (parent.name~other* and length>1)": lambda c: c.notes or c.parents,
    "verbalizer.0=bad": lambda c: c.verbalizer,
    "nan": lambda c: "nan" in c.metrics,
    "name~*3@x or name=p4@x": lambda c: c.task in ("task3", "task4"),
    "task>5": lambda c: False,  # a text is not a number
}


@pytest.fixture(scope="module")
def library(tmp_path_factory) -> Library:
    library = Library(tmp_path_factory.mktemp("library"))
    library.add_all((SoftPrompt(torch.ones(2, 3), c), f"p{n}@x") for n, c in CARDS.items())
    return library


@pytest.mark.parametrize(("where", "holds"), FILTERS.items(), ids=FILTERS)
def test_filters_choose_as_the_cards_say(library, where, holds):
    expected = [f"p{number}@x" for number, card in CARDS.items() if holds(card)]
    assert [entry.name for entry in library.list(where=where)] == expected


def test_a_filter_and_a_glob(library):
    assert [entry.name for entry in library.list("p[0-2]@*", "base~*/bert-*")] == ["p0@x"]


@pytest.mark.parametrize(
    ("where", "reason", "place"),
    [
        ("", "a card field is expected here", 0),
        ("metric.acuracy>0.8", "no prompt here has a field 'metric.acuracy'.", 0),
        ("length>1 and bse~x", "no prompt here has a field 'bse'. Did you mean 'base'?", 13),
        ("length>", "a value is expected after >", 7),
        ("length>(1)", "a value is expected after >", 7),
        ("length==20", "== compares nothing; use = or !=", 7),
        ("length<>3", "<> compares nothing; use = or !=", 7),
        ("length>90%", "a number without % is expected", 7),
        ("length>1 and", "a card field is expected here", 12),
        ("length>1 task=x", "'task' is not expected here; join conditions with and, or", 9),
        ("(length>1", "a closing parenthesis is missing", 9),
        ("length>1)", "')' is not expected here", 8),
        ("task='x", '"\'x" is not expected here', 5),
        (">3", "a card field is expected here", 0),
        ("length !! 3", "'!!' is not expected here", 7),
    ],
)
def test_errors_point_at_the_place(library, where, reason, place):
    with pytest.raises(PromptgraftError) as caught:
        library.list(where=where)
    message, shown, pointer = str(caught.value).split("\n")
    assert reason in message
    assert shown == f"  {where}"
    assert pointer.index("^") == place + 2


def test_what_a_name_stands_for():
    assert filters.matching("base", KNOWN) == ["base.name"]
    assert filters.matching("accuracy", KNOWN) == ["metrics.test.accuracy"]
    assert filters.matching("metric.loss", KNOWN) == ["metrics.loss"]
    assert filters.matching("test.accuracy.metrics", KNOWN) == []
    assert filters.matching("test", KNOWN) == []


def test_values_are_never_sql(library):
    for where in ('task="x\' OR 1=1 --"', 'name~"\') OR 1=1 --"'):
        assert library.list(where=where).names == []
