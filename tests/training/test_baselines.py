"""Baselines through the same loop: what each trains, what stays, how many parameters it has."""

import copy

import pytest
import torch
from torch.nn import functional
from transformers import AutoModelForCausalLM, GPT2Config

from conftest import TEXTS, tiny
from promptgraft.errors import ConfigError
from promptgraft.models import FrozenModel
from promptgraft.models.blocks import blocks
from promptgraft.training import Objective, TrainingConfig, train
from promptgraft.training.baselines import BASELINES, bottleneck_size

KINDS = ("gpt2", "llama", "bart", "t5", "bert", "albert")
SETTINGS = {"adapter": {"share": 0.1}, "top-layers": {"layers": 1}}
MEDIUM = 354_823_168  # parameters of GPT-2 medium


class Toy:
    """What `Objective` asks of a task when there are no choices."""

    verbalizer = None


def build(name, model):
    if name == "bitfit" and model.name in ("tiny/llama", "tiny/t5"):
        pytest.skip("no biases")
    if name == "lora" and model.name == "tiny/albert":
        return BASELINES[name](model, targets=["query"])
    return BASELINES[name](model, **SETTINGS.get(name, {}))


def rows(model):
    if model.family == "masked":
        return model.encode(TEXTS, None, "{source} {mask} .", ["good"] * len(TEXTS))
    return model.encode(TEXTS, None, "{source} => {target}", ["good"] * len(TEXTS))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", BASELINES.names())
def test_a_step_changes_what_is_trained_and_nothing_else(name, kind):
    torch.manual_seed(0)
    model = tiny(kind)
    before = {name: tensor.clone() for name, tensor in model.model.state_dict().items()}
    tuned = build(name, model)
    encoded = rows(tuned.model)
    batch = tuned.model.collate(encoded)
    plain = model.loss(model.collate(encoded)).item()
    assert tuned.model.loss(batch).item() == pytest.approx(plain, rel=1e-6)  # begins as the model
    own = {name: tensor.clone() for name, tensor in tuned.model.model.state_dict().items()}
    optimizer = torch.optim.SGD(tuned.parameters(), lr=0.01)
    for _ in range(2):  # what begins at zero hides what is behind it from the first step
        optimizer.zero_grad()
        tuned.model.loss(batch).backward()
        optimizer.step()
    assert tuned.model.loss(batch).item() < plain
    trained = set(tuned.tensors())
    changed = {n for n, t in tuned.model.model.state_dict().items() if not torch.equal(t, own[n])}
    tied = {n for n in changed if "lm_head" in n or "decoder" in n or "embed_tokens" in n}
    assert changed - tied <= trained
    assert all(torch.equal(t, before[n]) for n, t in model.model.state_dict().items())
    assert model.loss(model.collate(encoded)).item() == pytest.approx(plain)
    if name not in ("fine-tuning", "bitfit"):
        assert changed >= trained


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", BASELINES.names())
def test_a_bfloat16_model_is_trained_in_float32_weights_with_bfloat16_products(name, kind):
    torch.manual_seed(0)
    narrow = tiny(kind)
    narrow.model.to(torch.bfloat16)
    wide = FrozenModel(copy.deepcopy(narrow.model).float(), narrow.tokenizer, narrow.name)
    gradients, products = [], []
    for model in (narrow, wide):
        torch.manual_seed(1)
        tuned = build(name, model)
        layer = tuned.model.model.get_output_embeddings()
        layer.register_forward_hook(lambda _layer, _inputs, made: products.append(made.dtype))
        tuned.model.loss(tuned.model.collate(rows(tuned.model))).backward()
        assert all(w.dtype is w.grad.dtype is torch.float32 for w in tuned.parameters())
        gradients.append(torch.cat([w.grad.flatten() for w in tuned.parameters()]))
    assert set(products[: len(products) // 2]) == {torch.bfloat16}
    assert set(products[len(products) // 2 :]) == {torch.float32}
    # T5's logits are not scaled, and eight bits of them are little.
    assert functional.cosine_similarity(*gradients, dim=0) > (0.95 if kind == "t5" else 0.99)


@pytest.mark.parametrize("name", BASELINES.names())
def test_the_loop_trains_it(name, tmp_path):
    tuned = build(name, tiny("gpt2"))
    encoded = rows(tuned.model)
    first = tuned.model.loss(tuned.model.collate(encoded)).item()
    objective = Objective(tuned.model, Toy(), "vocabulary")
    train(tuned, encoded, objective, TrainingConfig(steps=25, lr=0.02), tmp_path)
    assert tuned.model.loss(tuned.model.collate(encoded)).item() < 0.8 * first


def test_generation_runs_the_changed_model():
    """What is written is what the teacher-forced logits say, token by token."""
    tuned = build("adapter", tiny("gpt2"))
    with torch.no_grad():
        for weight in tuned.parameters():
            weight.normal_(0, 0.5)
    model = tuned.model
    text = model.generate(["the film"], None, "{source}", max_new_tokens=4, min_new_tokens=4)[0]
    ids = model.tokenizer("the film", add_special_tokens=False)["input_ids"]
    for _ in range(4):
        with torch.no_grad():
            logits = model.model(torch.tensor([ids])).logits[0, -1]
        logits[2] = -torch.inf if len(ids) < 6 else logits[2]  # min_new_tokens bans the end
        ids.append(int(logits.argmax()))
    assert model.tokenizer.decode(ids[2:], skip_special_tokens=True).strip() == text


@pytest.mark.parametrize("kind", KINDS)
def test_blocks_are_all_the_layers(kind):
    found = blocks(tiny(kind).model)
    sizes = [len(stack) for stack in found.values()]
    assert sizes == {"bart": [3, 2], "t5": [3, 2], "albert": [1]}.get(kind, [3])


def test_top_layers_are_the_last_of_the_decoder():
    names = BASELINES["top-layers"](tiny("bart"), layers=1).tensors()
    assert names
    assert all(".decoder.layers.1." in name for name in names)
    names = BASELINES["top-layers"](tiny("gpt2")).tensors()
    assert {name.split(".")[2] for name in names} == {"1", "2"}


@pytest.mark.parametrize("share", [0.03, 0.001])
def test_adapters_have_the_share_of_gpt2_medium_that_the_paper_gives_them(share):
    """Counted on the real configuration, without its weights."""
    config = GPT2Config(n_embd=1024, n_layer=24, n_head=16)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    total = sum(weight.numel() for weight in model.parameters())
    assert total == MEDIUM
    (stack,) = blocks(model).values()
    size = bottleneck_size(share, total, len(stack), config.hidden_size)
    count = len(stack) * (size * (2 * 1024 + 1) + 3 * 1024)
    assert count / total == pytest.approx(share, rel=0.1)


def test_shares_are_counted(tmp_path):
    model = tiny("gpt2")
    for name in BASELINES.names():
        tuned = build(name, model)
        assert tuned.trainable() == sum(weight.numel() for weight in tuned.parameters())
        assert tuned.share() == tuned.trainable() / sum(w.numel() for w in model.model.parameters())
    assert BASELINES["fine-tuning"](model).share() == 1


def test_what_cannot_be_trained():
    with pytest.raises(ConfigError, match="has 3 layers; 4 cannot"):
        BASELINES["top-layers"](tiny("gpt2"), layers=4)
    with pytest.raises(ConfigError, match="tiny/llama has no biases"):
        BASELINES["bitfit"](tiny("llama"))
    with pytest.raises(ConfigError, match=r"lora on tiny/gpt2: .*nowhere"):
        BASELINES["lora"](tiny("gpt2"), targets=["nowhere"])
    with pytest.raises(ConfigError, match="Did you mean 'adapter'"):
        BASELINES["adapters"]
