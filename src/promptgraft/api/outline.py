"""The settings of a run as a YAML file with comments, for people to change."""

from collections.abc import Mapping
from typing import Any

import yaml

from promptgraft import tasks
from promptgraft.api.config import TuneConfig
from promptgraft.prompts.card import Family
from promptgraft.training import read

DATA = {
    "text": "the column that is read",
    "label": "the column with the answers",
    "source": "the column that is read",
    "target": "the column that is to be written",
}
HEAD = """\
# How to tune a prompt. Run it, with any setting changed for once:
#   promptgraft tune --config {file}
#   promptgraft tune --config {file} steps=200

# A built-in task, a file, a folder or hub:NAME
{task}
# A mini, a local folder or a model of the hub
{model}
# soft-prompt or prefix
{method}
"""
REST = """
# Virtual tokens
length: {length}
steps: {steps}
batch_size: 32
# Steps between looks at the validation rows; the best of them is kept
evaluate_every: {evaluate_every}
# End after so many looks without improvement
# patience: 5
# Training rows to use, of every label or in all
# few_shot: 16
# The learning rate; without, the method's own
# lr: 0.03
# Where the virtual tokens and the texts stand; the task's own, for a {family} model:
# template: "{template}"
seed: 0
# For the name in the library, task@model:tag
# tag: v1
"""


def outline(
    file: str,
    task: str,
    model: str,
    method: str,
    data: Mapping[str, Any],
    guessed: bool = False,
) -> str:
    """The text of a file for `promptgraft tune --config`.

    file     what it will be called
    data     the task's settings, as `tasks.load` takes them
    guessed  whether the label words are a guess, which the file then says

    Raises ConfigError or DataError if a run would not take these settings.
    """
    usual = {name: TuneConfig.model_fields[name].default for name in ("length", "steps")}
    loaded = tasks.load(task, **data)
    family: Family = "masked" if loaded.kind == "classification" else "causal"
    every = TuneConfig.model_fields["evaluate_every"].default
    named = {"task": task, "model": model, "method": method}
    head = HEAD.format(file=file, **{name: _line(name, value) for name, value in named.items()})
    body = _data(data, guessed) if data else ""
    template = loaded.template(family)
    rest = REST.format(**usual, evaluate_every=every, family=family, template=template)
    text = head + body + rest
    read(TuneConfig, None, yaml.safe_load(text))
    return text


def _data(data: Mapping[str, Any], guessed: bool) -> str:
    lines = ["", "data:"]
    for name, value in data.items():
        if name == "verbalizer":
            lines.append("  # The word that stands for each label" +
                         (": guessed from their order, correct it" if guessed else ""))  # fmt: skip
        elif name in DATA:
            lines.append(f"  # {DATA[name][0].upper()}{DATA[name][1:]}")
        lines += [f"  {line}" for line in _line(name, value).split("\n")]
    return "\n".join(lines) + "\n"


def _line(name: str, value: Any) -> str:
    """A setting as YAML writes it, quoted where it must be."""
    return yaml.safe_dump({name: value}, allow_unicode=True, sort_keys=False, width=10**6).strip()
