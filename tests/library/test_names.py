"""Names of prompts are checked, and each has one folder that tells it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptgraft.errors import PromptgraftError
from promptgraft.library import names
from promptgraft.prompts import ModelReference, PromptCard

GOOD = {
    "sst2@mini/bert-s": "sst2@mini%2Fbert-s",
    "sst2@mini/bert-s:v2": "sst2@mini%2Fbert-s%3Av2",
    "glue/sst2@gpt2": "glue%2Fsst2@gpt2",
    "100%@m": "100%25@m",
    "a task@m:x.y": "a task@m%3Ax.y",
    'a|"<b>"@m': "a%7C%22%3Cb%3E%22@m",
    "情感@bert": "情感@bert",
    "a%2Fb@m": "a%252Fb@m",
}
BAD = [
    "",
    "sst2",
    "@m",
    "sst2@",
    "a@b@c",
    "a@b:",
    "a@b:c:d",
    "a@b:c/d",
    "../x@m",
    "x@../m",
    "x@m/..",
    "x@m:..",
    "/x@m",
    "x@/m",
    "x@m/",
    "x@a//b",
    ".x@m",
    "x@.m",
    "x@a/.b",
    "x@m:.t",
    "x\n@m",
    "x\0@m",
    "x@m\x7f",
    "x\u202e@m",
    " x@m",
    "x@m ",
    "x @m",
    "x*@m",
    "x?@m",
    "[x]@m",
    "x\\y@m",
    "x" * 200 + "@m",
    "é" * 100 + "@m",
    "/" * 5 + "@m",
]


@pytest.mark.parametrize(("name", "folder"), GOOD.items())
def test_good_names(name, folder):
    assert names.check(name) == name
    assert names.to_folder(name) == folder
    assert names.from_folder(folder) == name


@pytest.mark.parametrize("name", BAD)
def test_bad_names(name):
    with pytest.raises(PromptgraftError, match=r"cannot name a prompt: .*Expected task@model"):
        names.check(name)


@pytest.mark.parametrize("folder", ["sst2", "..", "a%40b@m", "a%2fb@m", "%73st2@m", "x@m%00"])
def test_folders_of_no_name(folder):
    with pytest.raises(PromptgraftError):
        names.from_folder(folder)


@settings(max_examples=100, deadline=None)
@given(st.text(min_size=1, max_size=20), st.text(min_size=1, max_size=20), st.text(max_size=5))
def test_every_name_comes_back_from_its_folder(task, model, tag):
    name = f"{task}@{model}" + (f":{tag}" if tag else "")
    try:
        name = names.check(name)
    except PromptgraftError:
        return
    folder = names.to_folder(name)
    assert not set(folder) & set('/\\:*?"<>|\0\n')
    assert not folder.startswith(".")
    assert names.from_folder(folder) == name


def test_letters_are_composed():
    assert names.check("cafe\u0301@m") == "caf\u00e9@m"


@pytest.mark.parametrize(
    ("task", "model", "name"),
    [
        ("sst2", "mini/bert-s", "sst2@mini/bert-s"),
        (None, "google-t5/t5-small", "untitled@google-t5/t5-small"),
        ("sst2", "/data/models/mine", "sst2@mine"),
        ("sst2", "../models/mine/", "sst2@mine"),
        ("sst2", "C:\\models\\mine", "sst2@mine"),
        ("sst2", "~/mine", "sst2@mine"),
    ],
)
def test_default_names(task, model, name):
    base = ModelReference(
        name=model, fingerprint="ab", tokenizer_hash="cd", family="causal", embedding_size=2
    )
    card = PromptCard(kind="prefix", length=1, base=base, task=task)
    assert card.title == name
    assert names.check(name) == name
