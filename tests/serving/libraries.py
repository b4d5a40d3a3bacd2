"""Libraries of prompts for a tiny model, of every kind and length."""

import torch

from pools import build, card_for
from promptgraft.library import Library
from promptgraft.prompts import Prefix, PromptCard, SoftPrompt
from promptgraft.transfer.across_tasks import AdaptivePrompt

TEMPLATES = {
    "causal": ["{prompt} {source}", "{source} {prompt} =>", "{prompt} it is {source}"],
    "seq2seq": ["{prompt} {source}", "is {source} {prompt} ?", "{source} {decoder} {prompt} the"],
    "masked": ["{prompt} {source} {mask} .", "{source} {prompt} is {mask}", "{mask} {prompt:1} "
               "{source} {prompt}"],
}  # fmt: skip


def filled(model, folder):
    """Six soft prompts of 1 to 6 virtual tokens, and three prefixes of 1 to 3, with label words."""
    torch.manual_seed(0)
    made = Library(folder)
    family = model.family
    words = {"verbalizer": {"0": "bad", "1": "good"}}
    for number in range(6):
        card = PromptCard(
            kind="soft-prompt",
            length=number + 1,
            base=model.reference,
            task=f"soft{number}",
            template=TEMPLATES[family][number % 3],
            **words,
        )
        vectors = 2 * torch.randn(number + 1, model.embedding_size)
        made.add(SoftPrompt(vectors, card), f"soft{number}@tiny")
    for number in range(3):
        card = PromptCard(
            kind="prefix",
            length=number + 1,
            base=model.reference,
            task=f"prefix{number}",
            template=TEMPLATES[family][0],
            **words,
        )
        pairs = {
            site: 2 * torch.randn(layers, 2, number + 1, heads, size)
            for site, (layers, heads, size) in model.geometry.sites.items()
        }
        made.add(Prefix(pairs, card), f"prefix{number}@tiny")
    return made


ADAPTIVE = {"ptg": {}, "attempt": {"temperature": 0.1}, "dept": {"rank": 2, "positions": 5}}


def adaptive(model, library):
    """Add a prompt of every method that no value can stand for; returns them by name."""
    added = {}
    for method, settings in ADAPTIVE.items():
        for kind in ("soft-prompt", "prefix"):
            module = build(method, model, kind=kind, **settings)
            for weight in module.parameters():  # what starts at zero hides what it does
                weight.data.add_(0.5 * torch.randn_like(weight))
            template = TEMPLATES[model.family][0]
            words = {"0": "bad", "1": "good"}
            card = card_for(module, model).model_copy(
                update={"template": template, "task": method, "method": method, "verbalizer": words}
            )
            value = AdaptivePrompt(module, card)
            name = library.add(value.usual, f"{method}@tiny:{kind}", value.state)
            added[name] = value
    return added
