"""One of given words: any mix of prompts, rows that are wrong, and a queue that is never stuck."""

import pytest
import torch

from conftest import tiny
from promptgraft.errors import PromptgraftError
from promptgraft.prompts import Prefix
from promptgraft.serving import FailedError, FullError
from promptgraft.serving.choices import Chooser
from promptgraft.serving.prompts import Prompts
from serving.libraries import filled

EXACT = {"rtol": 0, "atol": 1e-5}
TEXTS = ["the film is great", "a dull story", "good fun", "is it far too long ?"]


def chooser(kind, folder, **settings):
    model = tiny(kind)
    return Chooser(model, Prompts(model, filled(model, folder)), **settings)


def answers(serving, rows, *asked):
    return [one.result(60) for one in serving.submit(rows, *asked)]


@pytest.mark.parametrize("kind", ["bert", "t5", "gpt2"])
def test_any_mix_of_kinds_in_one_pass_is_one_by_one(tmp_path, kind):
    """Rows of nine prompts, soft ones and prefixes."""
    serving = chooser(kind, tmp_path)
    library, model = serving.prompts.library, serving.model
    names = [entry.name for entry in library.list()]
    asked = [(name, TEXTS[n % 4]) for n, name in enumerate([*names, *names])]
    passes = []
    scores = model.choice_scores
    model.choice_scores = lambda *arguments: passes.append(len(arguments[0])) or scores(*arguments)
    with serving.lock:  # all of them are waiting before the first is answered
        found = [serving.submit([text], name)[0] for name, text in asked]
    found = [one.result(60) for one in found]
    del model.choice_scores
    assert passes == [len(asked)]
    for (name, text), one in zip(asked, found, strict=True):
        alone = model.choice_scores([text], ["bad", "good"], library.get(name))[0].softmax(0)
        own = torch.tensor([one.chances["bad"], one.chances["good"]])
        torch.testing.assert_close(own, alone, **EXACT)


def test_all_rows_of_a_request_or_none(tmp_path):
    serving = chooser("bert", tmp_path, waiting=3)
    with pytest.raises(FullError, match="0 rows are waiting"):
        serving.submit(TEXTS, "soft0@tiny")
    assert len(answers(serving, TEXTS[:3], "soft0@tiny")) == 3


def test_who_gave_up_makes_room(tmp_path):
    """Also while a pass runs, before the queue is looked through."""
    serving = chooser("bert", tmp_path, waiting=3)
    with serving.lock:
        for one in serving.submit(TEXTS[:2], "soft0@tiny"):
            one.cancel()
        asked = serving.submit(TEXTS[:3], "soft0@tiny")
        with pytest.raises(FullError, match="3 rows are waiting"):
            serving.submit(TEXTS[:1], "soft0@tiny")
    assert [one.result(60).best for one in asked] == [
        one.best for one in answers(serving, TEXTS[:3], "soft0@tiny")
    ]


def test_what_is_wrong_with_one_row_is_told_to_it_alone(tmp_path):
    serving = chooser("bert", tmp_path)
    with serving.lock:
        (bad,) = serving.submit([{"text": "x"}], "soft0@tiny")
        (good,) = serving.submit(["good fun"], "soft0@tiny")
    (again,) = answers(serving, ["good fun"], "soft0@tiny")
    assert good.result(60) == again
    with pytest.raises(PromptgraftError, match="source"):
        bad.result(60)


def test_a_prompt_that_overflows(tmp_path):
    serving = chooser("bert", tmp_path)
    prompt = serving.prompts.library.get("prefix1@tiny")
    huge = Prefix({"self": torch.full_like(prompt.sites["self"], 3e38)}, prompt.card)
    serving.prompts.library.add(huge, "huge@tiny")
    with pytest.raises(PromptgraftError, match="infinite or NaN"):
        answers(serving, ["good"], "huge@tiny")


def test_an_error_nobody_expected_is_no_ones_text(tmp_path, caplog):
    serving = chooser("bert", tmp_path)

    def fail(*_):
        raise RuntimeError(TEXTS[0])

    serving.model.choice_scores = fail
    with pytest.raises(FailedError):
        answers(serving, [TEXTS[0]], "soft0@tiny")
    del serving.model.choice_scores
    assert TEXTS[0] not in caplog.text
    assert answers(serving, [TEXTS[0]], "soft0@tiny")


def test_what_was_cancelled_is_passed_over(tmp_path):
    serving = chooser("bert", tmp_path, waiting=1)
    with serving.lock:
        serving.submit([TEXTS[0]], "soft0@tiny")[0].cancel()
    serving._worker.submit(int).result(60)  # it has come past
    assert not serving.queue
    assert answers(serving, [TEXTS[0]], "soft0@tiny")


def test_no_choices(tmp_path):
    with pytest.raises(PromptgraftError, match="no choices"):
        chooser("bert", tmp_path).submit(["good"], None)
