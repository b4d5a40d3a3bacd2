"""Rows of an encoder-decoder that come and go are written as if each were alone."""

import random

import pytest
import torch

from conftest import SEQ2SEQ, tiny
from promptgraft.errors import PromptgraftError
from promptgraft.models.decoder_slots import DecoderSlots
from promptgraft.prompts import Prefix, PromptCard, SoftPrompt

TEXTS = ["the film", "a dull , terrible and far too long story", "good", "is it fun ?"]
EXACT = {"rtol": 0, "atol": 1e-4}


def prompts(model):
    """None, soft prompts on either side, and prefixes for all sites and for single ones."""
    torch.manual_seed(0)

    def soft(length, template):
        card = PromptCard(
            kind="soft-prompt", length=length, base=model.reference, template=template
        )
        return SoftPrompt(torch.randn(length, model.embedding_size), card)

    def prefix(length, *sites):
        card = PromptCard(kind="prefix", length=length, base=model.reference)
        shapes = {site: model.geometry.sites[site] for site in sites}
        return Prefix(
            {
                site: torch.randn(layers, 2, length, heads, size)
                for site, (layers, heads, size) in shapes.items()
            },
            card,
        )

    return [
        None,
        soft(3, "{prompt} {source}"),
        soft(2, "is it {source} {prompt} ?"),
        soft(4, "{prompt:1} {source} {decoder} {prompt} the film"),
        prefix(2, "encoder", "decoder", "cross"),
        prefix(5, "decoder"),
        prefix(1, "cross"),
    ]


def alone(model, text, prompt, tokens):
    """Logits after the row's own decoder tokens and each further one, without any memory."""
    (row,) = model.encode([text], [prompt])
    found = []
    for count in range(len(tokens) + 1):
        decoder = [*row.decoder_tokens, *tokens[:count]]
        labels = [-100] * (len(decoder) - 1) + [0]
        longer = type(row)(tokens=row.tokens, labels=[], virtual=row.virtual,
                           decoder_tokens=decoder, decoder_labels=labels)  # fmt: skip
        logits, _ = model.labelled_logits(model.collate([longer]), [prompt])
        found.append(logits[0])
    return found


@pytest.mark.parametrize("kind", SEQ2SEQ)
def test_rows_join_and_leave_and_each_is_as_if_alone(kind):
    model = tiny(kind)
    given = prompts(model)
    picks = random.Random(0)
    slots, active = DecoderSlots(model), []
    waiting = [(text, prompt) for text in TEXTS for prompt in given]
    picks.shuffle(waiting)
    checked = 0
    while waiting or active:
        count = picks.randrange(4)
        joining, waiting = waiting[:count], waiting[count:]
        if joining:
            texts, own = [t for t, _ in joining], [p for _, p in joining]
            logits = slots.admit(model.encode(texts, own), own)
            for (text, prompt), first in zip(joining, logits, strict=True):
                active.append({"text": text, "prompt": prompt, "tokens": [], "seen": [first]})
        if not active:
            continue
        tokens = [picks.randrange(len(model.tokenizer)) for _ in active]
        for row, token, logits in zip(
            active, tokens, slots.step(torch.tensor(tokens)), strict=True
        ):
            row["tokens"].append(token)
            row["seen"].append(logits)
        for place in reversed(range(len(active))):
            if picks.random() < 0.3:
                row = active[place]
                expected = alone(model, row["text"], row["prompt"], row["tokens"])
                torch.testing.assert_close(torch.stack(row["seen"]), torch.stack(expected), **EXACT)
                slots.drop(place)
                active[place] = active[-1]
                active.pop()
                checked += 1
        assert len(slots) == len(active)
    assert checked == len(TEXTS) * len(given)


def test_models_that_number_their_tokens_themselves_are_refused():
    with pytest.raises(PromptgraftError, match="positions as in BART or T5"):
        DecoderSlots(tiny("gpt2"))
    model = tiny("bart")
    numbers = model.model.get_decoder().embed_positions
    numbers.forward = lambda input_ids, past_key_values_length=0: None
    with pytest.raises(PromptgraftError, match="positions as in BART or T5"):
        DecoderSlots(model)
