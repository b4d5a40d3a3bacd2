"""A toy task and a run of the loop on it, for the tests of training."""

import json

import torch

from conftest import tiny
from promptgraft import modules
from promptgraft.tasks import Task
from promptgraft.tasks.task import Split
from promptgraft.training import Objective, TrainingConfig, encode, train

WORDS = {"0": "bad", "1": "good"}
TEMPLATES = {
    "causal": "{prompt} {text} =>",
    "seq2seq": "{prompt} {text}",
    "masked": "{prompt} {text} {mask} .",
}
STEPS = 12


def a_task(rows=40):
    # The label is a function of one word, so that there is something to learn.
    split = [
        {
            "text": f"{('the film', 'a story')[n % 2]} is {('fun', 'long')[n // 2 % 2]}",
            "label": n % 2,
        }
        for n in range(rows)
    ]
    return Task(
        name="toy",
        kind="classification",
        inputs=("text",),
        target="label",
        splits={"train": Split.of(split)},
        templates=TEMPLATES,
        metrics=("accuracy",),
        verbalizer=WORDS,
    )


def a_run(folder, kind="bert", module="direct", resume=False, validate=None, task=None, **settings):
    task = task or a_task()
    model = tiny(kind)
    layout = modules.layout("soft-prompt", 3, model)
    start = modules.INITIALISERS["vocabulary"]()(model, layout, torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    emitter = modules.build(module, layout, start)
    encoded = encode(model, task, task.rows("train"), emitter(), task.template(model.family))
    settings = {"steps": STEPS, "batch_size": 8, "lr": 0.05, "checkpoint_every": 5} | settings
    config = TrainingConfig(**settings)
    check = None if validate is None else lambda: validate(emitter)
    objective = Objective(model, task, config.objective)
    outcome = train(emitter, encoded, objective, config, folder, check, resume)
    return emitter, outcome


def losses(folder):
    return [
        json.loads(line)["loss"] for line in (folder / "metrics.jsonl").read_text().splitlines()
    ]


def same(one, other):
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)
