"""A library of two tiny models in folders, and a desk that may use them."""

import pytest
import torch

from browser import page, pytest_runtest_makereport  # noqa: F401  (a fixture and a hook)
from conftest import tiny
from promptgraft.library import Library
from promptgraft.models import FrozenModel
from promptgraft.prompts import Parent, PromptCard, SoftPrompt

pytest.importorskip("gradio", reason="needs gradio: pip install 'promptgraft[ui]'")


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """Folders of three tiny models, by kind."""
    place = tmp_path_factory.mktemp("models")
    for kind in ("bert", "albert", "gpt2"):
        model = tiny(kind)
        model.save(place / kind)
    return {kind: str(place / kind) for kind in ("bert", "albert", "gpt2")}


def prompt(model, number, **fields):
    """A random soft prompt of three virtual tokens for a model."""
    card = PromptCard(kind="soft-prompt", length=3, base=model.reference, **fields)
    generator = torch.Generator().manual_seed(number)
    return SoftPrompt(2 * torch.randn(3, model.embedding_size, generator=generator), card)


@pytest.fixture
def desk(models, tmp_path, monkeypatch):
    """Prompts that choose and fill on BERT, one that writes on GPT-2; everything is allowed."""
    from promptgraft.serving.web import Desk

    monkeypatch.chdir(tmp_path)
    library = Library(tmp_path / "library")
    bert = FrozenModel.load(models["bert"])
    template = "{prompt} {text} {mask} ."
    words = {"template": template, "verbalizer": {"0": "bad", "1": "good"}, "task": "sst2"}
    first = prompt(bert, 0, metrics={"test.accuracy": 81.2}, curve=(3.0, 2.0, 1.0), **words)
    library.add(first, "sst2@bert")
    parent = Parent(name="x", content_hash=first.content_hash, relation="initialised-from")
    library.add(prompt(bert, 1, parents=(parent,), **words), "sst2@bert:v2")
    library.add(prompt(bert, 2, task="other", template=template), "fill@bert")
    both = {"template": "{text_a} {prompt} {text_b} {mask}", "verbalizer": {"0": "fun"}}
    library.add(prompt(bert, 3, **both), "two@bert")
    library.add(prompt(FrozenModel.load(models["gpt2"]), 4, task="write"), "write@gpt2")
    return Desk(library, list(models.values()), write=True)
