"""The page: everything on it, nothing from elsewhere, nothing unescaped."""

from dataclasses import replace

import pytest
import torch

from promptgraft.analysis import html, page
from promptgraft.prompts import ModelReference, Parent, PromptCard, SoftPrompt
from reader import Reader

EVIL = "<script>alert('x')</script> & \"more\""
LINES = [{"step": n, "loss": 3 / n, "validation": 10.0 * n} for n in range(1, 5)]


def prompt(model, parents=()):
    base = ModelReference(
        name=model, fingerprint="ab", tokenizer_hash="cd", family="masked", embedding_size=4
    )
    card = PromptCard(kind="soft-prompt", length=2, base=base, method="direct", parents=parents)
    return SoftPrompt(torch.ones(2, 4), card)


def example():
    run = page.TunedRun("t@m", [("Steps", EVIL)], EVIL, LINES, "accuracy")
    score = page.Score("mini/x", EVIL, 50.0, 40.0, 60.0, ours=True)
    headline = page.Headline(EVIL, 12.34, 56.78)
    comparison = page.Comparison("accuracy", 17, [score])
    parent = Parent(name="t@m", content_hash="ab", relation="transferred-from")
    prompts = [("t@m", prompt("m")), ("t@n", prompt("n", (parent,)))]
    near = [[(EVIL, 0.9), ("word", -0.2)]] * 2
    graft = page.Graft(headline, run, comparison, prompts, [near, near])
    sample = page.Sample([("name", EVIL)], [("prefix", EVIL), ("bare", "")], [EVIL])
    writing = page.Writing(headline, run, comparison, [sample])
    return page.Page(f"today {EVIL}", graft, writing, [f"promptgraft {EVIL}"])


@pytest.fixture(scope="module")
def read():
    reader = Reader()
    reader.html = page.render(example())
    reader.feed(reader.html)
    reader.close()
    return reader


def test_elements_are_closed_in_order(read):
    assert read.open == []
    assert read.html.lstrip().lower().startswith("<!doctype html>")


def test_texts_are_escaped(read):
    assert "script" not in read.tags
    text = "".join(read.text)
    at_top, runs, scores, tokens, sample, commands = 1 + 2, 2 + 2, 2, 4, 3, 1
    assert text.count(EVIL) == at_top + runs + scores + tokens + sample + commands


def test_nothing_comes_from_elsewhere(read):
    read.holds_everything()


def test_pictures_take_the_colours_of_the_page(read):
    assert read.tags.count("svg") == 2 + 2  # curves, and a scale for each score
    assert html.TEXT_COLOUR not in read.html
    assert "prefers-color-scheme: dark" in read.html


def test_numbers_are_on_the_page(read):
    text = "".join(read.text)
    for expected in ("12.3", "56.8", "50.0", "40.0 – 60.0", "17 test rows", "t@n", "(nothing)"):
        assert expected in text


def test_save_writes_the_page(tmp_path):
    page.save(replace(example(), made="today"), tmp_path / "deep.html")
    assert "today" in (tmp_path / "deep.html").read_text("utf-8")
