"""Modules: what they emit, what trains, and that dropping the network changes nothing."""

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, BartConfig, GPT2Config

from conftest import TEXTS, tiny
from promptgraft import modules
from promptgraft.errors import ConfigError
from promptgraft.models.geometry import geometry_of
from promptgraft.prompts import PromptCard

LENGTH = 4
NAMES = ["direct", "mlp", "linear", "lstm"]
KINDS = ["soft-prompt", "prefix"]
MODELS = ["gpt2", "llama", "t5", "bert"]


def module_for(name, kind, model, start=None):
    layout = modules.layout(kind, LENGTH, model)
    more = {} if name == "direct" else {"hidden": 8}
    return modules.build(name, layout, start, **more)


def start_for(kind, model, init="vocabulary"):
    layout = modules.layout(kind, LENGTH, model)
    return modules.INITIALISERS[init]()(model, layout, torch.Generator().manual_seed(3))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NAMES)
def test_emits_the_model_s_shapes(name, kind):
    for model in map(tiny, MODELS):
        emitted = module_for(name, kind, model)()
        if kind == "soft-prompt":
            assert emitted["input"].shape == (LENGTH, model.embedding_size)
        else:
            assert {site: tuple(t.shape) for site, t in emitted.items()} == {
                site: (layers, 2, LENGTH, heads, size)
                for site, (layers, heads, size) in model.geometry.sites.items()
            }


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NAMES)
def test_starts_where_the_initialiser_says(name, kind):
    model = tiny("bart")
    start = start_for(kind, model)
    module = module_for(name, kind, model, start)
    flat = module.layout.flatten(module())
    for key, table in start.items():
        torch.testing.assert_close(flat[key], table)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("family", ["gpt2", "t5", "albert"])
def test_every_parameter_gets_a_gradient(name, kind, family):
    model = tiny(family)
    module = module_for(name, kind, model, start_for(kind, model))
    masked = model.family == "masked"
    template = "{prompt} {text} {mask} ." if masked else "{prompt} {text} => {target}"
    batch = model.batch([{"text": TEXTS[0]}], module(), template, ["great"])
    model.loss(batch, module()).backward()
    for parameter in module.parameters():
        assert parameter.grad is not None
        assert parameter.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in model.model.parameters())


def test_a_fitted_network_comes_near_the_initial_prompt_without_an_offset():
    model = tiny("bart")
    start, layout = start_for("prefix", model, "random"), modules.layout("prefix", LENGTH, model)
    errors = []
    for fit in (1, 1000):
        torch.manual_seed(0)
        module = modules.build("mlp", layout, start, hidden=64, fit=fit)
        assert not any(buffer.any() for buffer in module.buffers())
        assert all(parameter.grad is None for parameter in module.parameters())
        flat = module.layout.flatten(module())
        errors.append(
            sum(torch.nn.functional.mse_loss(flat[n], t).item() for n, t in start.items())
        )
    assert errors[1] < 0.5 * errors[0]


@pytest.mark.parametrize(
    ("config", "length", "stored", "percent"),
    [
        (GPT2Config(n_embd=1024, n_layer=24, n_head=16), 5, 245_760, 0.1),  # E2E, WebNLG: 250K
        (GPT2Config(n_embd=1024, n_layer=24, n_head=16), 10, 491_520, 0.1),  # DART: 500K
        (BartConfig(), 100, 7_372_800, 2),  # XSUM; the defaults are those of BART-large
        (BartConfig(), 5, 368_640, 0.1),
    ],
)
def test_shares_of_the_paper_on_its_models(config, length, stored, percent):
    """Counted on the real configurations, without their weights; the paper rounds to one digit."""
    with torch.device("meta"):
        kind = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
        parameters = sum(p.numel() for p in kind.from_config(config).parameters())
    layout = modules.Layout("prefix", length, 1024, geometry_of(config).sites)
    assert layout.numbers() == stored
    found = 100 * stored / parameters
    assert round(found, 1 if percent < 1 else 0) == percent


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NAMES)
def test_network_dropped_is_network_kept(name, kind):
    model = tiny("gpt2")
    module = module_for(name, kind, model)
    card = PromptCard(kind=kind, length=LENGTH, base=model.reference)
    template = "{prompt} {text} =>"
    rows = [{"text": text} for text in TEXTS]
    answers = ["good", "bad", "great", "fun", "the"]
    kept = model.loss(model.batch(rows, module(), template, answers), module())
    value = module.freeze(card)
    dropped = model.loss(model.batch(rows, value, template, answers), value)
    torch.testing.assert_close(kept, dropped, rtol=1e-6, atol=1e-6)


def test_prefix_of_some_sites_only():
    model = tiny("bart")
    layout = modules.layout("prefix", LENGTH, model, ("encoder",))
    assert set(modules.build("direct", layout, None)()) == {"encoder"}


def test_flat_and_shaped_are_inverse():
    model = tiny("t5")
    layout = modules.layout("prefix", LENGTH, model)
    tables = {name: torch.randn(LENGTH, width) for name, width in layout.widths().items()}
    back = layout.flatten(layout.shape(tables))
    assert all(torch.equal(back[name], tables[name]) for name in tables)


def test_parameter_count_of_the_paper_s_mlp():
    model = tiny("gpt2")
    (layers, heads, size), width = model.geometry.sites["self"], model.embedding_size
    emitted = 2 * layers * heads * size
    expected = LENGTH * width + (width * 8 + 8) + (8 * emitted + emitted)
    assert module_for("mlp", "prefix", model).trainable() == expected


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: modules.layout("soft-prompt", 0, m), "at least one virtual token"),
        (lambda m: modules.layout("prefix", 2, m, ("middle",)), "not 'middle'"),
        (lambda m: module_for("mpl", "prefix", m), "Did you mean"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ConfigError, match=message):
        call(tiny("bart"))
