"""A tiny causal model and a library of prompts for it, of every kind and length."""

import pytest
import torch

from conftest import tiny
from promptgraft.library import Library
from promptgraft.prompts import Prefix, PromptCard, SoftPrompt

TEMPLATES = ["{prompt} {source}", "{source} {prompt} =>", "{prompt} it is {source}"]


@pytest.fixture
def model():
    return tiny("gpt2")


@pytest.fixture
def library(model, tmp_path):
    torch.manual_seed(0)
    made = Library(tmp_path / "library")
    for number in range(6):
        card = PromptCard(
            kind="soft-prompt",
            length=number + 1,
            base=model.reference,
            task=f"soft{number}",
            template=TEMPLATES[number % 3],
        )
        vectors = 2 * torch.randn(number + 1, model.embedding_size)
        made.add(SoftPrompt(vectors, card), f"soft{number}@tiny")
    layers, heads, size = model.geometry.sites["self"]
    for number in range(3):
        card = PromptCard(
            kind="prefix",
            length=number + 1,
            base=model.reference,
            task=f"prefix{number}",
            template="{prompt} {source}",
        )
        pairs = 2 * torch.randn(layers, 2, number + 1, heads, size)
        made.add(Prefix({"self": pairs}, card), f"prefix{number}@tiny")
    return made
