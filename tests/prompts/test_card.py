"""The card checks what it is told and forbids what it does not know."""

import re

import pytest
from pydantic import ValidationError

from promptgraft.prompts import ModelReference, PromptCard, now
from promptgraft.prompts.readme import readme


def test_only_kind_length_and_base_are_needed(card):
    assert {name for name, field in PromptCard.model_fields.items() if field.is_required()} == {
        "kind",
        "length",
        "base",
    }
    assert card("prefix", 3).title == "untitled@mini/causal"
    assert card("prefix", 3, task="e2e").title == "e2e@mini/causal"


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "lora"},
        {"length": 0},
        {"colour": "blue"},
        {"schema_version": 2},
        {"created": "yesterday"},
        {"metrics": {"accuracy": "good"}},
        {"parents": [{"name": "x"}]},
        {"hyperparameters": {"x": object()}},
    ],
)
def test_wrong_fields(card, wrong):
    fields = {"kind": "prefix", "length": 3, "base": card("prefix", 3).base}
    with pytest.raises(ValidationError):
        PromptCard(**fields | wrong)


@pytest.mark.parametrize(
    "wrong", [{"fingerprint": "xyz"}, {"family": "rnn"}, {"embedding_size": 0}, {"name": ""}]
)
def test_wrong_references(card, wrong):
    with pytest.raises(ValidationError):
        ModelReference(**card("prefix", 3).base.model_dump() | wrong)


def test_a_card_is_frozen(card):
    with pytest.raises(ValidationError, match="frozen"):
        card("prefix", 3).task = "sst2"


def test_what_is_published_names_no_place_of_this_machine(card):
    data = {"train": "/home/me/rows.csv", "test": "~/test.csv", "text": "review", "clip": True}
    local = card("prefix", 3).base.model_copy(update={"name": "/home/me/models/mine"})
    made = card("prefix", 3, hyperparameters={"data": data, "lr": 0.1})
    published = made.model_copy(update={"base": local}).without_paths()
    assert published.base.name == "./mine"
    assert published.hyperparameters == {"data": {"text": "review", "clip": True}, "lr": 0.1}
    plain = card("prefix", 3, hyperparameters={"lr": 0.1})
    assert plain.without_paths() == plain


def test_its_form_in_words(card):
    assert card("prefix", 3).form == "prefix, 3 virtual tokens"
    votes = card("prefix", 3, method="ensemble", hyperparameters={"members": ["prefix", "mlp"]})
    assert votes.form == "ensemble of prefix, mlp"


def test_now():
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", now())


def test_the_page_tells_all_there_is(soft, prefix):
    prompt = soft(
        task="sst2",
        template="{text} | {mask}",
        verbalizer={"positive": "good", "negative": "bad"},
        method="soft-prompt",
        hyperparameters={"rate": 0.25},
        seed=7,
        data_hash="da7a",
        metrics={"validation.accuracy": 0.91},
        parents=({"name": "mr@mini/causal", "content_hash": "ab" * 32, "relation": "mixed-from"},),
        library_version="0.1.0",
        created="2026-01-02T03:04:05Z",
        licence="CC-BY-4.0",
        notes="Two epochs were enough.",
    )
    page = readme(prompt.card).splitlines()
    for line in (
        "# sst2@mini/causal",
        "| Kind | soft-prompt, 5 virtual tokens |",
        "| Base model | mini/causal (revision r1), causal, 6 dimensions |",
        "| Model fingerprint | ab12 |",
        r"| Template | `{text} \| {mask}` |",
        "| Verbalizer | negative = `bad`, positive = `good` |",
        "| Method | soft-prompt |",
        "| Seed | 7 |",
        "| Training data | da7a |",
        "| Created | 2026-01-02T03:04:05Z |",
        "| Made with | promptgraft 0.1.0 |",
        "| Licence | CC-BY-4.0 |",
        "promptgraft eval .",
        "promptgraft generate .",
        "| validation.accuracy | 0.91 |",
        "| mixed-from | mr@mini/causal | abababababab |",
        "| rate | 0.25 |",
        "Two epochs were enough.",
    ):
        assert line in page
    assert "None" not in readme(prefix().card)
    assert "generate" not in readme(soft(family="masked").card)


def test_the_page_keeps_its_table_whatever_the_card_says(soft):
    page = readme(soft(task="a | b", template="x\n\n# y", licence="l\r|").card)
    table = page.split("\n\n")[2].splitlines()
    assert len(table) == 8
    assert all(line.startswith("| ") and line.endswith(" |") for line in table)
    assert all(len(re.findall(r"(?<!\\)\|", line)) == 3 for line in table)
