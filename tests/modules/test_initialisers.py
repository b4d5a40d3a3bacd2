"""Initialisers: embeddings or activations of what they say, the same for a seed."""

import pytest
import torch

from conftest import tiny
from promptgraft import modules
from promptgraft.errors import ConfigError, DataError
from promptgraft.modules import INITIALISERS
from promptgraft.prompts import Prefix, PromptCard, SoftPrompt

LENGTH = 5


def initialise(model, kind, name, *arguments, seed=0):
    layout = modules.layout(kind, LENGTH, model)
    return INITIALISERS[name](*arguments)(model, layout, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("kind", ["soft-prompt", "prefix"])
@pytest.mark.parametrize("name", ["random", "uniform", "vocabulary"])
def test_drawn_by_seed(kind, name):
    model = tiny("gpt2")
    first, again = initialise(model, kind, name), initialise(model, kind, name)
    other = initialise(model, kind, name, seed=1)
    for key in first:
        assert torch.equal(first[key], again[key])
        assert not torch.equal(first[key], other[key])


def test_uniform_is_between_0_and_1_at_every_site():
    tables = initialise(tiny("bart"), "prefix", "uniform")
    assert set(tables) == {"encoder", "decoder", "cross"}
    for table in tables.values():
        assert 0 <= table.min() < 0.2
        assert 0.8 < table.max() <= 1


def test_vocabulary_rows_are_rows_of_the_table():
    model = tiny("bert")
    table = model.embed(torch.arange(len(model.tokenizer)))
    for row in initialise(model, "soft-prompt", "vocabulary")["input"]:
        assert (table == row).all(1).any()


def test_text_is_repeated_or_cut():
    model = tiny("gpt2")
    ids = model.tokenizer(" good bad")["input_ids"]
    expected = model.embed(torch.tensor((ids * LENGTH)[:LENGTH]))
    got = initialise(model, "soft-prompt", "text", "good bad")["input"]
    assert torch.equal(got, expected)


def test_prefix_from_text_is_what_the_model_computes():
    """A prefix of the text's own keys and values acts as the text itself."""
    model = tiny("llama")
    template = "{prompt} {source} => {target}"
    prefix = model.activations(torch.tensor(model.tokenizer("good bad .")["input_ids"]))
    with_prefix = model.batch(["the film is"], prefix, template, ["fun"])
    with_text = model.batch(["good bad .the film is"], None, template, ["fun"])
    torch.testing.assert_close(
        model.loss(with_prefix, prefix), model.loss(with_text), rtol=1e-5, atol=1e-5
    )


def test_labels_average_words_of_several_tokens():
    model = tiny("gpt2")
    words = ["good", "unheard-of"]
    got = initialise(model, "soft-prompt", "labels", words)["input"]
    for row, word in zip(got, words, strict=False):
        ids = torch.tensor(model.tokenizer(f" {word}")["input_ids"])
        torch.testing.assert_close(row, model.embed(ids).mean(0))


def test_another_prompt_of_any_length():
    model = tiny("gpt2")
    card = PromptCard(kind="soft-prompt", length=2, base=model.reference)
    source = SoftPrompt(torch.randn(2, model.embedding_size), card)
    got = initialise(model, "soft-prompt", "prompt", source)["input"]
    assert torch.equal(got, source.vectors[torch.tensor([0, 1, 0, 1, 0])])


def test_another_prefix():
    model = tiny("t5")
    sites = {s: torch.randn(L, 2, 7, H, d) for s, (L, H, d) in model.geometry.sites.items()}
    source = Prefix(sites, PromptCard(kind="prefix", length=7, base=model.reference))
    layout = modules.layout("prefix", LENGTH, model)
    start = initialise(model, "prefix", "prompt", source)
    emitted = modules.build("direct", layout, start)()
    for site, tensor in sites.items():
        assert torch.equal(emitted[site], tensor[:, :, :LENGTH])


def test_scale_of_random_is_the_table_s():
    model = tiny("gpt2")
    layout = modules.layout("soft-prompt", 400, model)
    table = model.embed(torch.arange(len(model.tokenizer)))
    got = INITIALISERS["random"]()(model, layout, torch.Generator().manual_seed(0))["input"]
    assert got.std().item() == pytest.approx(table.std().item(), rel=0.2)


def test_errors():
    model = tiny("gpt2")
    card = PromptCard(kind="soft-prompt", length=2, base=model.reference)
    source = SoftPrompt(torch.randn(2, model.embedding_size), card)
    with pytest.raises(ConfigError, match="cannot start from"):
        initialise(model, "prefix", "prompt", source)
    with pytest.raises(ConfigError, match="no tokens"):
        initialise(model, "soft-prompt", "text", "")
    with pytest.raises(DataError, match="no label words"):
        initialise(model, "soft-prompt", "labels", [])
