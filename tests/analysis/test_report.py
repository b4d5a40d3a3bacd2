"""The report: what is on it, hostile cards as text, and what a browser makes of it."""

import json
import math

import pytest
import torch
import yaml

from promptgraft.analysis import html, library_report
from promptgraft.analysis.borrowing import Borrowing
from promptgraft.api.reporting import write_report
from promptgraft.errors import BadFileError, PromptgraftError
from promptgraft.library import Library
from promptgraft.prompts import ModelReference, Parent, Prefix, PromptCard, SoftPrompt
from reader import Reader

EVIL = "<script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">'\"&"
ODD = "\u202eright to left\u2066 \U0001f9d1\u200d\U0001f680 Z\u0351\u0343\u0352 $\\frac{a}{b}$ \x0b"
HUGE = "x" * 300_000


def soft(number, task="t", model="m", **fields):
    base = ModelReference(
        name=model, fingerprint="ab", tokenizer_hash="cd", family="masked", embedding_size=4
    )
    card = PromptCard(kind="soft-prompt", length=2, base=base, task=task, **fields)
    values = torch.randn(2, 4, generator=torch.Generator().manual_seed(number))
    return SoftPrompt(values, card)


BORROWED = Borrowing(
    ["sst2", "mrpc"],
    ["own source", EVIL],
    torch.tensor([[0.25, 0.75], [0.5, 0.5]]),
    torch.tensor([[-0.5, 0.96], [1.0, 0.0]]),
    torch.tensor([[1.0, 0.37], [0.37, 1.0]]),
    sources=2,
)


@pytest.fixture
def hostile(tmp_path):
    """A library whose every free text wants to be more than text."""
    library = Library(tmp_path / "library")
    texts = EVIL + ODD + HUGE
    first = soft(0, texts, method=texts, notes=texts, template=texts, licence=texts)
    parent = Parent(name=texts, content_hash="ab", relation=texts)
    mine = Parent(name="gone", content_hash=first.content_hash, relation=EVIL)
    second = soft(
        1,
        model=texts,
        verbalizer={texts: texts},
        hyperparameters={texts: [texts]},
        metrics={EVIL: math.nan, "test.accuracy": 81.2},
        curve=(3.0, math.inf, 2.0, 1.0),
        parents=(parent, mine),
    )
    library.add(first, "a$x^{$<script>@m")
    library.add(second, "b&amp;<b>'@m:<i>")
    (library.path / "<script>@m").mkdir()
    return library


@pytest.fixture
def run(tmp_path):
    """The folder of a run that has ended, with texts like those above."""
    folder = tmp_path / "runs" / "one"
    folder.mkdir(parents=True)
    settings = {"task": "sst2", "model": "m", "method": "soft-prompt", "template": EVIL}
    (folder / "config.yaml").write_text(yaml.safe_dump(settings))
    lines = [{"step": n, "loss": 3 / n, "validation": 10.0 * n} for n in range(1, 5)]
    (folder / "metrics.jsonl").write_text("\n".join(map(json.dumps, lines)))
    sample = {"inputs": {"text": EVIL}, "prediction": "\ud800" + ODD, "references": [HUGE]}
    sample["borrowed"] = {"second": 0.125, "first": 0.875}
    results = {
        "trainable_parameters": 1234,
        "validation": "accuracy",
        "outcome": {"steps": 4, "best_step": 3, "best_score": 40.0, "seconds": 65.4},
        "notes": [EVIL],
        "borrowed": BORROWED.numbers(),
        "test": {
            "scores": {"accuracy": 81.23, "cider": 2.345},
            "intervals": {"accuracy": [78.4, 83.9]},
            "groups": {"unseen": {"accuracy": 60.0}},
            "samples": [sample],
        },
    }
    (folder / "results.json").write_text(json.dumps(results))
    return folder


def read(file):
    reader = Reader()
    reader.html = file.read_text("utf-8")
    reader.feed(reader.html)
    reader.close()
    return reader


def test_hostile_cards_are_text(hostile, tmp_path):
    page = read(write_report(hostile.path, tmp_path / "page.html"))
    assert page.open == []
    assert not {"script", "img", "i"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    text = "".join(page.text)
    assert EVIL in text
    assert "b&amp;<b>'@m:<i>" in text
    assert "a$x^{$<script>" in text  # in the picture too, where it is no formula
    assert "more characters)" in text
    assert len(page.html) < 500_000
    page.holds_everything()


def test_what_a_library_holds(tmp_path):
    library = Library(tmp_path / "mine")
    one, two = soft(1, metrics={"test.accuracy": 81.25}), soft(2)
    library.add(one, "one@m")
    library.add(two, "two@m:v2")
    child = Parent(name="x", content_hash=one.content_hash, relation="transferred-from")
    library.add(soft(3, model="n", parents=(child,)), "three@n")
    text = "".join(read(write_report(library.path, tmp_path / "page.html")).text)
    cosine = torch.cosine_similarity(one.vectors.mean(0), two.vectors.mean(0), dim=0)
    assert f"{float(cosine):.2f}" in text
    for expected in ("Prompts in mine", "two:v2", "81.25", "three@n", "transferred-from"):
        assert expected in text
    lineage = text[text.index("Lineage") :]
    assert lineage.index("three@n") < lineage.index("one@m")


def test_prompts_of_other_shapes_are_in_no_picture_together(tmp_path):
    library = Library(tmp_path / "mine")
    base = soft(0).card.base.model_copy(update={"family": "seq2seq"})
    for number, sites in enumerate((("decoder",), ("decoder",), ("decoder", "cross"))):
        card = PromptCard(kind="prefix", length=2, base=base, task=f"t{number}")
        library.add(Prefix({site: torch.randn(1, 2, 2, 1, 3) for site in sites}, card))
    (picture,) = library_report.pictures(library.list())
    assert "t0" in picture.svg
    assert "t1" in picture.svg
    assert "t2" not in picture.svg


def test_large_libraries_are_cut(tmp_path, monkeypatch):
    monkeypatch.setattr(library_report, "LISTED", 4)
    monkeypatch.setattr(library_report, "COMPARED", 3)
    library = Library(tmp_path / "mine")
    library.add_all((soft(n), f"t{n}@m") for n in range(6))
    text = "".join(read(write_report(library.path, tmp_path / "page.html")).text)
    assert "2 more prompts are in the library" in text
    assert "1 prompts of this model are not in the picture" in text


def test_a_curve_as_points():
    assert library_report.spark((2.0, math.nan, 1.0)) == "0.0,2.0 100.0,22.0"
    assert library_report.spark((1.0,)) == ""
    assert library_report.spark((1.0, 1.0)) == "0.0,22.0 100.0,22.0"


def test_a_run(run, tmp_path):
    page = read(write_report(run, tmp_path / "page.html"))
    assert page.open == []
    assert "script" not in page.tags
    text = "".join(page.text)
    for expected in (
        "1,234 numbers",
        "4 in 1:05, best at 3",
        "81.2",
        "78.4 – 83.9",
        "2.35",
        "60.0",
    ):
        assert expected in text
    for expected in ("unseen", "validation accuracy, per cent", "What sst2 borrowed"):
        assert expected in text
    assert text.count(EVIL) == 6  # template twice, note, borrowed twice, input
    assert 0 < text.index("0.88 first") < text.index("0.12 second")
    page.holds_everything()


def test_what_a_run_borrowed_in_numbers_and_pictures(run, tmp_path):
    page = read(write_report(run, tmp_path / "page.html"))
    text = "".join(page.text)
    table = text[text.index("What sst2 borrowed") :]
    assert table.index("0.75") < table.index("0.96") < table.index("own source")
    for relied in (0.25 * -0.5 + 0.75 * 0.96, 0.5 * 1 + 0.5 * 0):
        assert f"weight times cosine: {relied:.2f}" in text
    for expected in ("weight in the mixture", "cosine between the targets", "0.37", "between.csv"):
        assert expected in text


def test_a_run_that_has_not_ended_names_what_it_measures(run, tmp_path):
    (run / "results.json").unlink()
    line = {"step": 2, "loss": 2.0, "validation": -1.25, "measure": "loss"}
    lines = [{"step": 1, "loss": 3.0}, line]
    (run / "metrics.jsonl").write_text("\n".join(map(json.dumps, lines)))
    text = "".join(read(write_report(run, tmp_path / "page.html")).text)
    assert "validation loss, nats" in text
    assert "1.25" in text
    assert "-1.25" not in text


def test_a_folder_of_runs_and_one_that_has_not_ended(run, tmp_path):
    young = run.parent / "two"
    young.mkdir()
    (young / "config.yaml").write_text("task: e2e\nmodel: m\nmethod: prefix\n")
    text = "".join(read(write_report(run.parent, tmp_path / "page.html")).text)
    assert "Runs in runs" in text
    assert "not at its end" in text
    assert text.count("Settings") == 2


def test_what_is_neither_and_what_is_damaged(run, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "other" / "3f" / "systemd").mkdir(parents=True)
    for folder in (tmp_path / "empty", tmp_path / "other"):
        with pytest.raises(PromptgraftError, match="has neither runs nor prompts"):
            write_report(folder, tmp_path / "page.html")
        assert not list(folder.glob(".*"))  # nor is an index left there
    with pytest.raises(PromptgraftError, match="is no folder"):
        write_report(tmp_path / "nothing", tmp_path / "page.html")
    (run / "results.json").write_text("{")
    with pytest.raises(BadFileError, match=r"results\.json: damaged"):
        write_report(run, tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


def test_a_library_of_broken_prompts_alone_says_so(tmp_path):
    (tmp_path / "library" / "sst2@m").mkdir(parents=True)
    text = "".join(read(write_report(tmp_path / "library", tmp_path / "page.html")).text)
    assert "What is no prompt" in text


def test_long_texts_are_counted():
    assert html.short("abc", 3) == "abc"
    assert html.short("abcdef", 3) == "abc… (3 more characters)"


def test_in_a_browser_nothing_runs_and_nothing_is_wider_than_the_window(hostile, tmp_path, page):
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.set_viewport_size({"width": 500, "height": 800})
    file = write_report(hostile.path, tmp_path / "page.html")
    page.goto(file.as_uri())
    assert page.title() == "Prompts in library"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert asked == [file.as_uri()]
