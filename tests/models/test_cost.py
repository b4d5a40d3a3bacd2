"""The cost of a step, against torch's own count of operations and of the tensors it keeps."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from conftest import CAUSAL, MASKED, SEQ2SEQ, tiny
from promptgraft.models import Batch, FrozenModel

D, F, L, P = 64, 256, 6, 20  # wide and deep enough for products to be most of the work
SOURCES = ["is the " * 12, "the " * 25, "is " * 18]
TARGETS = ["good", "is the bad", "the"]
FLOPS, MEMORY = 0.04, 0.35  # relative
FIRST = 0.08  # the first layer of GPT-NeoX needs no gradient in all its parts: it has them abreast


def middling(kind: str) -> FrozenModel:
    usual: dict[str, Any] = dict(hidden_size=D, intermediate_size=F, num_hidden_layers=L)
    sizes = {
        "gpt2": dict(n_embd=D, n_layer=L),
        "opt": dict(hidden_size=D, ffn_dim=F, num_hidden_layers=L, word_embed_proj_dim=D),
        "bart": dict(
            d_model=D, encoder_ffn_dim=F, decoder_ffn_dim=F, encoder_layers=L, decoder_layers=L
        ),
        "t5": dict(d_model=D, d_ff=F, d_kv=16, num_layers=L, num_decoder_layers=L),
        "gpt_neox": usual,
        "gemma3": usual | dict(head_dim=16, layer_types=["full_attention"] * L),
        "mistral": usual | dict(head_dim=16, sliding_window=500),
    }
    grouped = usual | dict(head_dim=16)
    return tiny(kind, **sizes.get(kind, usual if kind in MASKED else grouped))


def prompt_of(model: FrozenModel, form: str) -> Any:
    if form == "prefix":
        return {
            site: torch.randn(layers, 2, P, heads, size, requires_grad=True)
            for site, (layers, heads, size) in model.geometry.sites.items()
        }
    return torch.randn(P, model.embedding_size, requires_grad=True)


def batch_of(model: FrozenModel, prompt: Any, form: str) -> Batch:
    masked, template = model.family == "masked", "{prompt} {source}"
    if form == "infix":
        template = "{source} {prompt} =>"
    if form == "decoder":
        template = "{source} {decoder} {prompt}"
    answers = ["good"] * 3 if masked else TARGETS
    rows = [{"source": source} for source in SOURCES]
    return model.batch(rows, prompt, template + (" {mask}" if masked else ""), answers)


CASES = [
    *[(kind, form) for kind in CAUSAL + MASKED + SEQ2SEQ for form in ("soft", "prefix")],
    *[(kind, "infix") for kind in ("gpt2", "llama")],
    *[(kind, "decoder") for kind in SEQ2SEQ],
]


@pytest.mark.parametrize(("kind", "form"), CASES)
def test_operations(kind: str, form: str):
    model = middling(kind)
    prompt = prompt_of(model, form)
    batch = batch_of(model, prompt, form)
    # torch counts attention of the plain formula only
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        model.loss(batch, prompt).backward()
    near = pytest.approx(counter.get_total_flops(), rel=FIRST if kind == "gpt_neox" else FLOPS)
    assert model.cost(batch, prompt).flops == near


@pytest.mark.parametrize(("kind", "form"), CASES)
def test_memory(kind: str, form: str):
    model = middling(kind)
    prompt = prompt_of(model, form)
    batch = batch_of(model, prompt, form)
    cost = model.cost(batch, prompt)
    weights = {w.data_ptr(): w.numel() * 4 for w in model.model.parameters()}
    assert cost.weights == sum(weights.values())
    tensors = prompt.values() if isinstance(prompt, dict) else [prompt]
    assert cost.prompt == 16 * sum(tensor.numel() for tensor in tensors)
    assert cost.bytes == cost.weights + cost.activations + cost.prompt
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = model.loss(batch, prompt)
    assert loss.requires_grad
    own = sum(t.untyped_storage().nbytes() for place, t in kept.items() if place not in weights)
    assert cost.activations == pytest.approx(own, rel=MEMORY)


def test_a_shared_pass_costs_less():
    model = middling("gpt2")
    prompt = prompt_of(model, "soft")
    encoded = model.encode(SOURCES, prompt, answers=TARGETS)
    shared, whole = (model.cost(model.collate(encoded, share=s), prompt) for s in (True, False))
    assert shared.flops < 0.8 * whole.flops
    assert shared.activations < whole.activations


def test_bfloat16_takes_half():
    model = middling("llama")
    prompt = prompt_of(model, "soft")
    batch = batch_of(model, prompt, "soft")
    exact = model.cost(batch, prompt)
    model.model.to(torch.bfloat16)
    rounded = model.cost(batch, prompt)
    assert rounded.weights * 2 == exact.weights
    assert rounded.activations < exact.activations
    assert (rounded.flops, rounded.prompt) == (exact.flops, exact.prompt)
