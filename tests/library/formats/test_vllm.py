"""Requests to vLLM hold what the model itself would see."""

import base64
import io

import pytest
import torch

from conftest import tiny
from promptgraft.errors import PromptgraftError
from promptgraft.library.formats import vllm
from promptgraft.prompts import Prefix, PromptCard, SoftPrompt


def soft(model, template=None) -> SoftPrompt:
    card = PromptCard(kind="soft-prompt", length=4, base=model.reference, template=template)
    return SoftPrompt(torch.randn(4, model.embedding_size), card)


def opened(request) -> torch.Tensor:
    data = io.BytesIO(base64.b64decode(request["prompt_embeds"], validate=True))
    return torch.load(data, weights_only=True)  # as vLLM opens it


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
@pytest.mark.parametrize("template", ["{prompt} {source}", "name : {prompt:1} {source} {prompt}"])
def test_the_embeddings_continue_as_the_model_does(kind, template):
    model = tiny(kind)
    prompt = soft(model, template)
    request = vllm.request(prompt, model, "the film is", max_tokens=5, seed=1)
    assert request.keys() == {
        *("model", "prompt", "prompt_embeds", "max_tokens", "temperature", "seed")
    }
    embeds = opened(request)
    assert embeds.shape[1] == model.embedding_size
    ids = model.model.generate(inputs_embeds=embeds[None], max_new_tokens=5, do_sample=False)
    text = model.tokenizer.decode(ids[0], skip_special_tokens=True).strip()
    assert text == model.generate(["the film is"], prompt, max_new_tokens=5)[0]


def test_what_vllm_does_not_take():
    t5, gpt2 = tiny("t5"), tiny("gpt2")
    with pytest.raises(PromptgraftError, match="for causal models"):
        vllm.request(soft(t5), t5, "a")
    layers, heads, size = gpt2.geometry.sites["self"]
    card = PromptCard(kind="prefix", length=2, base=gpt2.reference)
    prefix = Prefix({"self": torch.ones(layers, 2, 2, heads, size)}, card)
    with pytest.raises(PromptgraftError, match="keys and values of every layer"):
        vllm.request(prefix, gpt2, "a")
    with pytest.raises(PromptgraftError, match="max_tokens -5; expected a number above 0"):
        vllm.request(soft(gpt2), gpt2, "a", max_tokens=-5)
