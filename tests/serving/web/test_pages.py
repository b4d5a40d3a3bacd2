"""What is behind the tabs, without a browser: what they show, refuse and leave alone."""

import json
import re
import time

import pytest

from promptgraft import tasks
from promptgraft.api.answering import answer
from promptgraft.errors import DataError, PromptgraftError
from promptgraft.models import FrozenModel
from promptgraft.serving.web import (
    Desk,
    library_page,
    playground,
    similarity,
    train_page,
    transfer_page,
)
from reader import Reader
from serving.web.conftest import prompt

FILM = "the film is great fun"


def text_of(html):
    """What a reader sees of it; every element is closed in order."""
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == []
    return " ".join(" ".join(reader.text).split())


def everything(folder):
    """Every file below a folder but for the index, with its bytes."""
    files = (path for path in folder.rglob("*") if path.is_file() and ".index" not in path.name)
    return {path: path.read_bytes() for path in files}


def test_the_library_is_filtered_as_ls_filters(desk):
    assert "5 prompts." in text_of(library_page.table(desk, "", ""))
    found = text_of(library_page.table(desk, "*@bert*", "metric.accuracy>80"))
    assert "sst2@bert" in found
    assert "81.2 test.accuracy" in found
    assert "1 prompt." in found
    assert "Nothing in" in text_of(library_page.table(desk, "x@*", ""))
    assert 'class="problem"' in library_page.table(desk, "", "metric.accuracy >")


def test_a_card_names_ancestors_descendants_and_likes(desk):
    found = text_of(library_page.card(desk, "sst2@bert:v2"))
    assert "Made from sst2@bert:v2 sst2@bert initialised-from" in found
    assert "Most like it" in found
    assert "Made from it sst2@bert:v2" in text_of(library_page.card(desk, "sst2@bert"))
    assert "no prompt nothing" in text_of(library_page.card(desk, "nothing"))


def test_a_card_says_what_its_words_are(desk):
    assert "Label words 0 bad 1 good" in text_of(library_page.card(desk, "sst2@bert"))


def test_prompts_answer_side_by_side_as_each_alone(desk, models):
    bert = FrozenModel.load(models["bert"])
    names = ["sst2@bert", "fill@bert", "sst2@bert:v2"]
    found = answer(names, [FILM], bert, library=desk.library)
    assert [one.prompt for one in found] == names
    row = [{"text": FILM}]
    for one in (found[0], found[2]):
        value = desk.library.get(one.prompt)
        alone = bert.choice_scores(row, ["bad", "good"], value)[0].softmax(0).tolist()
        assert one.chances == pytest.approx(
            dict(zip(["bad", "good"], alone, strict=True)), abs=0.01
        )
        assert one.text == max(one.chances, key=one.chances.get) == next(iter(one.chances))
    assert found[1].text == bert.fill(row, desk.library.get("fill@bert"))[0]
    assert found[1].chances == {}


def test_a_causal_prompt_writes(desk, models):
    (found,) = answer(
        ["write@gpt2"], [FILM], FrozenModel.load(models["gpt2"]), library=desk.library,
        max_new_tokens=5,
    )  # fmt: skip
    alone = FrozenModel.load(models["gpt2"])
    assert found.text == alone.generate([FILM], desk.library.get("write@gpt2"), max_new_tokens=5)[0]


def test_a_prompt_that_reads_two_texts_needs_both(desk, models):
    bert = FrozenModel.load(models["bert"])
    with pytest.raises(DataError, match=r"reads 2 texts \(text_a, text_b\), got 1"):
        answer(["two@bert"], [FILM], bert, library=desk.library)
    assert answer(["two@bert"], [FILM, FILM], bert, library=desk.library)[0].text == "fun"


def test_the_playground_says_what_is_wrong(desk, models):
    page = playground.answers(desk, models["bert"], ["sst2@bert", "fill@bert"], FILM, "", 8)
    assert page.count('class="answer"') == 2
    assert "Choose a prompt" in playground.answers(desk, models["bert"], [], FILM, "", 8)
    assert "Type an input" in playground.answers(desk, models["bert"], ["sst2@bert"], " ", "", 8)
    assert "not among the models" in playground.answers(desk, "/etc", ["sst2@bert"], FILM, "", 8)
    some = playground.answers(desk, models["bert"], ["two@bert", "fill@bert"], FILM, "", 8)
    assert "two@bert two@bert reads 2 texts" in text_of(some)  # and the other answers
    assert some.count("<p>") == 1
    wrong = text_of(playground.answers(desk, models["gpt2"], ["sst2@bert"], FILM, "", 8))
    assert "was made for" in wrong or "16-dimensional" in wrong


def test_an_example_is_a_row_of_the_first_task_at_hand(desk, models):
    (text,) = playground.an_example(desk, models["bert"], ["fill@bert", "sst2@bert"])
    assert text in {row["text"] for row in tasks.load("sst2").rows("test")}
    with pytest.raises(PromptgraftError, match="was tuned on other, which is not built in"):
        playground.an_example(desk, models["bert"], ["fill@bert"])


def test_the_map_holds_the_cosines_and_a_pair_is_a_difference(desk):
    (space,) = similarity.spaces(desk)
    page = similarity.pictures(desk, space)
    one, other = desk.library.get("sst2@bert"), desk.library.get("fill@bert")
    means = [value.vectors.mean(0) for value in (one, other)]
    cosine = float(means[0] @ means[1] / means[0].norm() / means[1].norm())
    reader = Reader()
    reader.feed(page)
    keys = [json.loads(value) for name, value in reader.attributes if name == "data-key"]
    labels = [value for name, value in reader.attributes if name == "aria-label"]
    assert len(keys) == 16
    place = keys.index(["sst2@bert", "fill@bert"])
    assert labels[place] == f"sst2@bert and fill@bert: {cosine:.2f}"
    shown = text_of(similarity.pair(desk, json.dumps(keys[place])))
    assert f"Cosine of the means {cosine:.3f}" in shown
    assert "task sst2 other" in shown
    assert "No model has" in similarity.pictures(desk, "nonsense")


def test_moving_keeps_nothing_until_it_is_asked_to(desk, models):
    before = everything(desk.library.path)
    value, page = transfer_page.moved(desk, "sst2@bert", models["albert"], "relative")
    loss = value.card.hyperparameters["trust"]["matching_loss"]
    assert f"Matching loss {loss:.3f}" in text_of(page)
    both = transfer_page.compared(desk, "sst2@bert", value, models["albert"], FILM, "")
    assert both.count('class="answer"') == 2
    assert everything(desk.library.path) == before
    reading = Desk(desk.library, desk.given)
    assert "read-only" in transfer_page.keep(reading, value, "moved")
    assert everything(desk.library.path) == before
    assert "kept in" in transfer_page.keep(desk, value, "moved")
    assert desk.library.get("sst2@albert:moved").content_hash == value.content_hash
    assert "already" in transfer_page.keep(desk, value, "moved")


def test_what_cannot_be_moved_is_said(desk, models):
    value, page = transfer_page.moved(desk, "sst2@bert", models["albert"], "no-such-method")
    assert value is None
    assert "problem" in page
    assert "Move a prompt first" in transfer_page.compared(desk, "sst2@bert", None, "", FILM, "")


@pytest.fixture
def reviews(tmp_path):
    lines = [f"{('the film', 'a story')[n % 2]} number {n},{n % 2}" for n in range(60)]
    (tmp_path / "reviews.csv").write_text("review,stars\n" + "\n".join(lines))
    more = "data.text=review\ndata.label=stars\ndata.verbalizer={0: bad, 1: good}\nbatch_size=4"
    return str(tmp_path / "reviews.csv"), more


def test_a_run_shows_its_curve_and_keeps_a_prompt(desk, models, reviews, monkeypatch):
    note = train_page.Running._note

    def slowly(running, report):
        note(running, report)
        time.sleep(0.1)

    monkeypatch.setattr(train_page.Running, "_note", slowly)
    monkeypatch.setattr(train_page, "SECONDS", 0.02)
    task, more = reviews
    given = (task, models["bert"], "soft-prompt", 12, 3, 0, more)
    shown = list(train_page.tuned(desk, *given))
    assert any(re.search("Step (?!12 )[0-9]+ of 12", text_of(page)) for page in shown[:-1])
    assert "<svg" in shown[-1]
    assert "Kept as reviews@bert" in text_of(shown[-1])
    assert "Test accuracy" in text_of(shown[-1])
    assert desk.library.get("reviews@bert").card.length == 3


def test_a_run_that_nobody_watches_ends_and_keeps_nothing(desk, models, reviews):
    task, more = reviews
    run = train_page.tuned(desk, task, models["bert"], "soft-prompt", 2000, 3, 0, more)
    until = time.monotonic() + 120
    while "Step" not in next(run):
        assert time.monotonic() < until
    other = list(train_page.tuned(desk, task, models["bert"], "soft-prompt", 10, 3, 0, more))
    assert "A run is going on" in other[0]
    run.close()
    assert "reviews@bert" not in desk.library
    assert desk.training.acquire(blocking=False)


def test_runs_are_refused_where_one_may_only_look(desk, models, reviews, tmp_path):
    task, more = reviews
    given = (task, models["bert"], "soft-prompt", 10, 3, 0, more)
    assert "read-only" in next(train_page.tuned(Desk(desk.library), *given))
    wrong = (*given[:-1], "stepss=3")
    assert "Did you mean" in next(train_page.tuned(desk, *wrong))
    assert "not among" in next(train_page.tuned(desk, task, "mini/x", *given[2:]))
    assert not (tmp_path / "runs").exists()


def test_what_is_offered_first_is_on_this_machine(desk, models):
    bert = FrozenModel.load(models["bert"])
    base = bert.reference.model_copy(update={"name": "a-hub/model", "fingerprint": "ab"})
    away = prompt(bert, 9)
    away = away.with_card(away.card.model_copy(update={"base": base}))
    for number in range(9):
        desk.library.add(away, f"a{number}@a-hub/model")
    whole = Desk(desk.library)
    assert whole.models()[-1] == "a-hub/model"
    assert playground.start(whole) == models["bert"]
    assert transfer_page.movable(whole)[0] == "fill@bert"
    assert transfer_page.movable(whole)[-1] == "a8@a-hub/model"
    asked = Desk(desk.library, ["a-hub/model", models["gpt2"]])
    assert asked.models() == [models["gpt2"], "a-hub/model"]


def test_a_desk_knows_models_by_its_prompts_and_keeps_few_in_memory(desk, models, monkeypatch):
    assert Desk(desk.library).prompts(models["gpt2"]) == ["write@gpt2"]
    assert set(models.values()) - {models["albert"]} <= set(Desk(desk.library).models())
    monkeypatch.setattr("promptgraft.serving.web.desk.KEPT", 1)
    for name in models.values():
        with desk.using(name) as (found,):
            assert found.name == name
    assert len(desk._loaded) == 1
    with pytest.raises(PromptgraftError, match="not among"), desk.using("mini/bert-x"):
        pass
