"""Pools of random source prompts, and methods built from them, for the tests of transfer."""

import torch

from promptgraft import modules
from promptgraft.prompts import Prefix, PromptCard, SoftPrompt
from promptgraft.training import Objective, TrainingConfig, encode, train
from promptgraft.transfer import across_tasks
from toy import a_task

LENGTH = 3
TEXTS = ["the film is fun", "a story that is far too long", "a dull film"]


def some_prompts(model, count=3, kind="soft-prompt", length=LENGTH, seed=5):
    """Random prompts for the tasks a, b, c, …, each of another size."""
    layout = modules.layout(kind, length, model)
    generator = torch.Generator().manual_seed(seed)
    found = {}
    for number, task in enumerate("abcdefgh"[:count]):
        tables = {
            name: (number + 1) * torch.randn(length, width, generator=generator)
            for name, width in layout.widths().items()
        }
        card = PromptCard(kind=kind, length=length, base=model.reference, task=task)
        tensors = layout.shape(tables)
        value = Prefix(tensors, card) if kind == "prefix" else SoftPrompt(tensors["input"], card)
        found[f"{task}@tiny"] = value
    return found


def given(model, count=3, kind="soft-prompt", tasks=("toy",), length=LENGTH, task=None):
    """What a method is built from, with the toy task's rows."""
    layout = modules.layout(kind, length, model)
    generator = torch.Generator().manual_seed(1)
    start = modules.INITIALISERS["vocabulary"]()
    task = task or a_task(12)
    return across_tasks.Given(
        model,
        layout,
        across_tasks.pool_of(some_prompts(model, count, kind, length), layout),
        lambda: start(model, layout, generator),
        tasks,
        encode(model, task, task.rows("train"), layout.blank(), task.template(model.family)),
    )


def build(method, model, count=3, kind="soft-prompt", tasks=("toy",), **settings):
    torch.manual_seed(0)
    return across_tasks.build(method, given(model, count, kind, tasks), settings)


def tuned(method, model, folder, steps=6, resume=False, validate=None, **settings):
    """A method after a run of the loop on the toy task."""
    torch.manual_seed(0)
    start = given(model)
    module = across_tasks.build(method, start, settings)
    task = a_task(12)
    config = TrainingConfig(steps=steps, batch_size=4, lr=0.05, evaluate_every=3)
    check = None if validate is None else lambda: validate(module)
    outcome = train(module, start.rows, Objective(model, task), config, folder, check, resume)
    return module, outcome


def a_batch(model, prompt, texts=TEXTS, answers=("good", "bad", "good")):
    template = "{prompt} {text} {mask} ." if model.family == "masked" else "{prompt} {text} =>"
    return model.batch([{"text": text} for text in texts], prompt, template, list(answers))


def card_for(module, model):
    return PromptCard(kind=module.layout.kind, length=module.layout.length, base=model.reference)
