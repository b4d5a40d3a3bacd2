"""A text is read once for all its beams, which write as if each had read for itself."""

import pytest
import torch

from conftest import CAUSAL, tiny
from models.test_frozen import prefix, rows, soft
from promptgraft.models import attention
from promptgraft.models.frozen import FrozenModel

BEAMS, NEW = 3, 6


def lines_read(model: FrozenModel) -> list[int]:
    """The rows of each pass, as they come."""
    seen: list[int] = []
    layer = model.model.get_output_embeddings()
    layer.register_forward_pre_hook(lambda _layer, given: seen.append(len(given[0])))
    return seen


@pytest.mark.parametrize("kind", [*CAUSAL, "bart", "t5"])
def test_a_text_is_read_once_and_the_beams_are_those_of_transformers(kind: str):
    model = tiny(kind)
    prompt = prefix(model, 3)
    template = "{source} =>"
    batch = model.collate(model.encode(rows(), prompt, template, reserve=NEW), "left", NEW)
    settings = dict(max_new_tokens=NEW, num_beams=BEAMS)
    with model.attached(batch, prompt) as inputs, torch.no_grad():
        ids = model.model.generate(
            **inputs, **settings, pad_token_id=0, eos_token_id=list(model.ends)
        )
    seen = lines_read(model)
    texts = model.generate(rows(), prompt, template, **settings)
    assert seen[0] == len(rows())
    assert set(seen[1:]) == {len(rows()) * BEAMS}
    begun = batch.tokens if batch.decoder_tokens is None else batch.decoder_tokens
    new = ids[:, begun.shape[1] :]
    theirs = model.tokenizer.batch_decode(new, skip_special_tokens=True)
    assert texts == [text.strip() for text in theirs]


@pytest.mark.parametrize("kind", ["bart", "t5"])
def test_beams_share_the_keys_of_what_the_encoder_read(kind: str, monkeypatch):
    """There is one row of them for each text, at every step."""
    model, kept = tiny(kind), []
    prompt = prefix(model, 3)
    usual = attention._mask  # is asked for wherever there is a prefix

    def seen(port, site, mask, query, key, causal):
        if site == "cross":
            kept.append(len(key))
        return usual(port, site, mask, query, key, causal)

    monkeypatch.setattr(attention, "_mask", seen)
    model.generate(rows(), prompt, max_new_tokens=NEW, num_beams=BEAMS, min_new_tokens=NEW)
    assert set(kept) == {len(rows())}
    layers, *_ = model.geometry.sites["cross"]
    assert len(kept) == NEW * layers


@pytest.mark.parametrize("place", ["{prompt} {source}", "{source} {prompt}"])
def test_virtual_tokens_are_read_once_too(place: str):
    model = tiny("gpt2")
    prompts = [soft(model, 4, place), soft(model, 2, place), None] * 2
    seen = lines_read(model)
    texts = model.generate(rows(), prompts, max_new_tokens=NEW, num_beams=BEAMS)
    assert seen[0] == len(rows())
    alone = [
        model.generate([row], prompt, max_new_tokens=NEW, num_beams=BEAMS)[0]
        for row, prompt in zip(rows(), prompts, strict=True)
    ]
    assert texts == alone


def test_a_cache_of_fixed_size_is_left_to_transformers():
    model = tiny("gpt2")
    settings = dict(max_new_tokens=NEW, num_beams=BEAMS)
    prompt = prefix(model, 2)
    usual = model.generate(rows(), prompt, **settings)
    seen = lines_read(model)
    fixed = model.generate(rows(), prompt, **settings, cache_implementation="static")
    assert set(seen) == {len(rows()) * BEAMS}
    assert fixed == usual


@pytest.mark.parametrize("beams", [1, BEAMS])
def test_texts_may_be_read_in_chunks(beams: int):
    model = tiny("gpt2")
    prompt, settings = prefix(model, 2), dict(max_new_tokens=NEW, num_beams=beams)
    usual = model.generate(rows(), prompt, **settings)
    assert model.generate(rows(), prompt, **settings, prefill_chunk_size=2) == usual
