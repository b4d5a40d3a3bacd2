"""SPoT: where the prompt starts."""

from dataclasses import replace

import torch

from conftest import tiny
from pools import build, given, some_prompts
from promptgraft.transfer import across_tasks


def test_generic_starts_at_the_mean():
    model = tiny("t5")
    mean = torch.stack([p.vectors for p in some_prompts(model).values()]).mean(0)
    torch.testing.assert_close(build("spot", model, variant="generic")()["input"], mean)


def test_targeted_starts_at_the_most_similar():
    """The brief tuning is played: it ends near the second source, in direction alone."""
    model = tiny("t5")
    second = some_prompts(model)["b@tiny"].vectors
    asked = []

    def probe(steps):
        asked.append(steps)
        return {"input": 100 * (second + 0.01 * torch.randn_like(second))}

    start = replace(given(model), probe=probe)
    module = across_tasks.build("spot", start, {"probe_steps": 7})
    torch.testing.assert_close(module()["input"], second)
    assert asked == [7]
    found = module.borrowed()
    assert found.columns[found.weights[0].argmax()] == "b@tiny"
    two = across_tasks.build("spot", start, {"top": 2}).borrowed().weights[0]
    assert (two > 0).sum() == 2
    assert two.argmax() == 1
    assert two.sum() == 1
