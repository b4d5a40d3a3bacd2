"""Rows of an encoder-decoder that come and go are written as if each were alone."""

import pytest
import torch

from conftest import SEQ2SEQ, tiny
from models.coming_and_going import write
from promptgraft.errors import PromptgraftError
from promptgraft.models.decoder_slots import DecoderSlots
from promptgraft.prompts import Prefix, PromptCard, SoftPrompt

TEXTS = ["the film", "a dull , terrible and far too long story", "good", "is it fun ?"]


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
    rows = [(text, prompt) for text in TEXTS for prompt in prompts(model)]
    assert write(model, DecoderSlots(model), list(rows), alone) == len(rows)


def test_models_that_number_their_tokens_themselves_are_refused():
    with pytest.raises(PromptgraftError, match="positions as in BART or T5"):
        DecoderSlots(tiny("gpt2"))
    model = tiny("bart")
    numbers = model.model.get_decoder().embed_positions
    numbers.forward = lambda input_ids, past_key_values_length=0: None
    with pytest.raises(PromptgraftError, match="positions as in BART or T5"):
        DecoderSlots(model)
