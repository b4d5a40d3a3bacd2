"""SPoT: where the prompt starts."""

from dataclasses import replace

import torch

from conftest import tiny
from pools import build, given, some_prompts
from promptgraft.transfer import across_tasks
from toy import a_task


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


def test_fitting_starts_at_the_sources_with_the_least_loss():
    """Each source is scored row by row with the model's own likelihoods."""
    model, start = tiny("t5"), given(tiny("t5"))
    prompts, task = some_prompts(model), a_task(12)
    rows = task.rows("train")
    losses = [
        -model.log_likelihood(rows, [task.answer(row) for row in rows], prompt,
                              task.template("seq2seq"), stop=False).sum().item()
        for prompt in prompts.values()
    ]  # fmt: skip
    order = sorted(range(3), key=losses.__getitem__)
    best = across_tasks.build("spot", start, {"variant": "fitting"})
    assert torch.equal(best()["input"], list(prompts.values())[order[0]].vectors)
    two = across_tasks.build("spot", start, {"variant": "fitting", "top": 2}).borrowed().weights[0]
    assert two.tolist() == [0.5 if number in order[:2] else 0.0 for number in range(3)]
