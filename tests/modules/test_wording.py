"""Worded templates as starts: the same answers as in words, until something is trained."""

from dataclasses import replace

import pytest
import torch

from conftest import tiny
from promptgraft import api, modules
from promptgraft.api import job
from promptgraft.errors import ConfigError
from promptgraft.modules import as_slots
from promptgraft.prompts import PromptCard, SoftPrompt
from toy import a_task

WORDED = {
    "bert": "Is ({text_a}) like {text_b} ? It is {mask} .",
    "roberta": "Is ({text_a}) like {text_b} ? It is {mask} .",
    "gpt2": "Is ({text_a}) like {text_b} ? It is {target}",
    "t5": "Is {text_a} like {text_b} ? It is",  # its pieces always begin with a blank
}
ROWS = [{"text_a": "a film", "text_b": "the story"}, {"text_a": "good fun", "text_b": "it"}]


@pytest.mark.parametrize("kind", WORDED)
def test_untrained_it_answers_as_the_words_do(kind):
    model, worded = tiny(kind), WORDED[kind]
    found = as_slots(model, worded)
    layout = modules.layout("soft-prompt", len(found.tokens), model)
    start = modules.INITIALISERS["wording"](found.tokens)(model, layout, torch.Generator())
    card = PromptCard(kind="soft-prompt", length=len(found.tokens), base=model.reference)
    prompt = SoftPrompt(start["input"], card)
    words = ["good", "bad"]
    torch.testing.assert_close(
        model.choice_scores(ROWS, words, prompt, found.template),
        model.choice_scores(ROWS, words, None, worded),
        rtol=1e-4,
        atol=1e-4,
    )


def test_every_run_of_words_has_its_slot():
    model = tiny("bert")
    runs = [model.encoder.word(words) for words in ("film : (", ") it was", ".")]
    found = as_slots(model, "film : ({text}) it was {mask} .")
    assert list(found.tokens) == [token for run in runs for token in run]
    first, second, third = (f"{{prompt:{len(run)}}}" for run in runs)
    assert found.template == f"{first}{{text}}{second} {{mask}} {third}"


def test_of_several_wordings_the_likeliest_answers_decide():
    model = tiny("bert")
    wordings = ("{text} is {mask}", "good {text} it {mask}", "the {text} {mask} bad")
    task = replace(a_task(12), manual={"masked": wordings})
    rows = task.rows("train")

    def loss(wording):  # a row at a time
        scores = [
            model.choice_scores([row], ["bad", "good"], None, wording)[0].tolist() for row in rows
        ]
        odds = [
            torch.tensor(own).softmax(0)[row["label"]]
            for own, row in zip(scores, rows, strict=True)
        ]
        return -torch.stack(odds).log().mean().item()

    assert job.best_wording(model, task) == min(wordings, key=loss)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "has no wordings for masked models"),
        ({"init_text": "{text} {mask}"}, "has no words"),
        ({"init_text": "{prompt} is {mask}"}, "write it in words alone"),
        ({"init_text": "{text} is {mask}", "method": "prefix"}, "for soft prompts"),
        ({"init_text": "{text} is {mask}", "template": "{prompt} {mask}"}, "leave template out"),
    ],
)
def test_what_it_cannot_start_from(settings, message, tmp_path):
    chosen = {"init": "wording", "steps": 1, "out": tmp_path / "run"} | settings
    with pytest.raises(ConfigError, match=message):
        api.tune(model=tiny("bert"), task=a_task(12), **chosen)
    assert not (tmp_path / "run").exists()
