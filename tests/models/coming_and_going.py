"""Rows that join and leave at random, each compared with what it would be alone."""

import random

import torch

EXACT = {"rtol": 0, "atol": 1e-4}


def write(model, slots, waiting, alone, reserve=0):
    """Write random tokens to all (text, prompt) in `waiting`; returns how many were compared.

    alone  the logits that a row should have had: (model, text, prompt, tokens) -> list
    """
    picks = random.Random(0)
    picks.shuffle(waiting)
    active, checked = [], 0
    while waiting or active:
        count = picks.randrange(4)
        joining, waiting = waiting[:count], waiting[count:]
        if joining:
            texts, own = [t for t, _ in joining], [p for _, p in joining]
            logits = slots.admit(model.encode(texts, own), own, reserve=reserve)
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
    return checked
