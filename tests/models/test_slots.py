"""Rows that come and go are written as if each were alone."""

import pytest
import torch

from conftest import CAUSAL, tiny
from models.coming_and_going import EXACT, write
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
    rows = [(text, prompt) for text in TEXTS for prompt in prompts(model)]
    assert write(model, Slots(model), list(rows), alone, reserve=40) == len(rows)


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
