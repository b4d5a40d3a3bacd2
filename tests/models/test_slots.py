"""Rows that come and go are written as if each were alone."""

import random

import pytest
import torch

from conftest import CAUSAL, tiny
from promptgraft.errors import PromptgraftError
from promptgraft.models.slots import Slots
from promptgraft.prompts import Prefix, PromptCard, SoftPrompt

TEXTS = [
    "the film",
    "a dull , terrible and far too long story",
    "The Eagle is",
    "good",
    "is it fun ?",
]
EXACT = {"rtol": 0, "atol": 1e-4}


def prompts(model):
    """None, soft prompts at the start and in the middle, and a prefix."""
    torch.manual_seed(0)
    layers, heads, size = model.geometry.sites["self"]

    def soft(length, template):
        card = PromptCard(
            kind="soft-prompt", length=length, base=model.reference, template=template
        )
        return SoftPrompt(torch.randn(length, model.embedding_size), card)

    card = PromptCard(kind="prefix", length=2, base=model.reference, template="{prompt} {source}")
    return [
        None,
        soft(3, "{prompt} {source}"),
        soft(2, "{source} {prompt} =>"),
        Prefix({"self": torch.randn(layers, 2, 2, heads, size)}, card),
        soft(5, "{prompt} {source} ="),
    ]


def alone(model, text, prompt, tokens):
    """Logits after the text and after each further token, without any memory."""
    (row,) = model.encode([text], [prompt])
    found = []
    for count in range(len(tokens) + 1):
        ids = [*row.tokens, *tokens[:count]]
        longer = type(row)(tokens=ids, labels=[-100] * (len(ids) - 1) + [0], virtual=row.virtual)
        longer.prefix_at, longer.head = row.prefix_at, row.head
        logits, _ = model.labelled_logits(model.collate([longer], reserve=40), [prompt])
        found.append(logits[0])
    return found


@pytest.mark.parametrize("kind", CAUSAL)
def test_rows_join_and_leave_and_each_is_as_if_alone(kind):
    model = tiny(kind)
    given = prompts(model)
    vocabulary = len(model.tokenizer)
    picks = random.Random(0)
    slots, active = Slots(model), []
    waiting = [(text, prompt) for text in TEXTS for prompt in given]
    picks.shuffle(waiting)
    while waiting or active:
        joining, waiting = waiting[: picks.randrange(4)], waiting[3:]
        if joining:
            texts, own = [t for t, _ in joining], [p for _, p in joining]
            logits = slots.admit(model.encode(texts, own), own, reserve=40)
            for (text, prompt), first in zip(joining, logits, strict=True):
                active.append({"text": text, "prompt": prompt, "tokens": [], "seen": [first]})
        if not active:
            continue
        tokens = [picks.randrange(vocabulary) for _ in active]
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
        assert len(slots) == len(active)


def test_long_rows_after_short_ones_and_many_steps():
    """The edge moves when there is no room, and nothing is forgotten."""
    model = tiny("gpt2")
    slots = Slots(model)
    slots.admit(model.encode(["good"]), None)
    seen = [slots.step(torch.tensor([5])) for _ in range(70)]
    slots.admit(model.encode([" ".join(["the film"] * 40)]), None)
    both = slots.step(torch.tensor([5, 6]))
    expected = alone(model, "good", None, [5] * 71)
    torch.testing.assert_close(torch.cat(seen), torch.stack(expected[1:71]), **EXACT)
    torch.testing.assert_close(both[0], expected[71], **EXACT)
    longer = alone(model, " ".join(["the film"] * 40), None, [6])
    torch.testing.assert_close(both[1], longer[1], **EXACT)


def test_only_causal_models():
    for kind in ("bert", "t5"):
        with pytest.raises(PromptgraftError, match="takes a causal model"):
            Slots(tiny(kind))
