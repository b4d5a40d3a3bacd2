"""Tune prompts for several tasks together: every batch holds rows of all of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import Field, field_validator, model_validator

from promptgraft import prompts, tasks
from promptgraft.analysis.borrowing import Borrowing
from promptgraft.api.borrowing import keep_borrowed, shares_of_rows, sources, with_shares
from promptgraft.api.config import PLAIN, TuneConfig
from promptgraft.api.folder import SAMPLES, begin, rows_to_score, summary_of, write_results
from promptgraft.api.job import (
    Job,
    initialiser_for,
    layout_for,
    mean_validation,
    model_for,
    validated_by,
    validation,
)
from promptgraft.api.outcome import card_of, frozen_as, keep, tested
from promptgraft.errors import ConfigError
from promptgraft.library import Library
from promptgraft.models import FrozenModel
from promptgraft.modules import PromptModule, Start
from promptgraft.prompts import Prompt
from promptgraft.tasks import Task
from promptgraft.tasks.wording import Labels, with_labels, with_prefix
from promptgraft.training import (
    Evaluation,
    Objective,
    Outcome,
    Report,
    encode,
    evaluate,
    processes,
    train,
)
from promptgraft.transfer import across_tasks
from promptgraft.transfer.across_tasks import AdaptivePrompt, Transfer, stored
from promptgraft.transfer.across_tasks.mixture import Sampling, mixture


class JointConfig(TuneConfig):
    """Everything `tune_jointly` may be told."""

    task: str
    """The tasks, with + between: rte+mrpc+sst2."""
    data: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """By task, settings of its data."""
    sampling: Sampling = "proportional"
    """How often the tasks' rows are seen: as many as there are, equally often, or in between."""
    sampling_temperature: float = Field(default=2.0, ge=1)
    """sampling=temperature: shares are n^(1/T)."""
    task_prefix: bool = False
    """Begin every row with its task's name."""
    labels: Labels = "natural"
    """Label words: the tasks' own, 0, 1, … in every task, or A0, A1, …; B0, B1, …"""

    @field_validator("task")
    @classmethod
    def _several(cls, task: str) -> str:
        names = task.split("+")
        if len(names) < 2 or len({tasks.name_of(name) for name in names if name}) < len(names):
            raise ValueError("expected several different tasks with + between, such as rte+mrpc")
        return task

    @model_validator(mode="after")
    def _of_these(self) -> "JointConfig":
        known = {*self.task.split("+"), *map(tasks.name_of, self.task.split("+"))}
        if unknown := [name for name in self.data if name not in known]:
            raise ValueError(
                f"data has settings of {', '.join(unknown)}, which is none of the tasks: "
                f"data.{tasks.name_of(self.task.split('+')[0])}.text=..."
            )
        return self

    def data_of(self, task: str) -> dict[str, Any]:
        """The settings of a task's data; they may be under its file or its name."""
        return self.data.get(task) or self.data.get(tasks.name_of(task), {})

    @field_validator("teachers")
    @classmethod
    def _none(cls, teachers: list[str]) -> list[str]:
        if teachers:
            raise ValueError("teachers teach one task at a time")
        return teachers


@dataclass(frozen=True)
class JointRun:
    """What `tune_jointly` gives, by task.

    prompts   as `Run.prompt` and, where a method looks at each row, `Run.adaptive`
    names     in the library
    borrowed  what each task's prompt is mixed from; None where the method has no weights
    """

    prompts: Mapping[str, Prompt | AdaptivePrompt]
    names: Mapping[str, str]
    evaluations: Mapping[str, Evaluation]
    outcome: Outcome
    folder: Path
    summary: dict[str, Any]
    borrowed: Borrowing | None


def tune_jointly(
    config: JointConfig,
    *,
    library: Library | None = None,
    model: FrozenModel | None = None,
    given: Sequence[Task] | None = None,
    resume: bool = False,
    report: Callable[[Report], None] | None = None,
) -> JointRun:
    """Tune one module for several tasks; each task's prompt is scored and kept by itself.

    The best state is the one with the best mean over the tasks of what each is validated by.

    given  the tasks, if they are loaded already, in the order of their names

    Raises as `tune` does.
    """
    processes.alone("Tuning several tasks together")
    module, jobs = prepare_jointly(config, model, given, library)
    config = config.model_copy(update=jobs[0].settled)
    folder = config.folder()
    begin(folder, config, resume)
    sizes = [len(job.encoded) for job in jobs]
    chosen = mixture(sizes, config.sampling, config.sampling_temperature, config.seed)
    encoded = [job.encoded[row] for job, rows in zip(jobs, chosen, strict=True) for row in rows]
    measure = validated_by(*(job.task for job in jobs))

    outcome = train(
        module,
        encoded,
        module.objective(jobs[0].objective),
        config.training(),
        folder,
        mean_validation(jobs),
        resume,
        report,
        measure,
    )
    borrowed = keep_borrowed(module, folder)
    shares = borrowed.shares() if borrowed else {}
    store = library or Library()
    tuned: dict[str, Prompt | AdaptivePrompt] = {}
    names, evaluations, summaries = {}, {}, {}
    for number, (job, given_as) in enumerate(zip(jobs, config.task.split("+"), strict=True)):
        task = job.task.name
        own = config.model_copy(update={"data": config.data_of(given_as)})
        evaluation, own_shares = None, []
        if test := rows_to_score(job.task, config):
            value = frozen_as(module, card_of(own, job, {}), number)
            own_shares = shares_of_rows(value, job.model, test[:SAMPLES])
            evaluation = evaluate(job.model, job.task, test, value, **config.decoding)
            evaluations[task] = evaluation
        card = with_shares(card_of(own, job, tested(evaluation)), shares)
        value = tuned[task] = frozen_as(module, card, number)
        plain, state = stored(value)
        prompts.save(plain, folder / tasks.name_of(task), state)
        names[task] = keep(store, plain, config.tag, folder, state)
        summaries[task] = summary_of(job, outcome, evaluation, test, own_shares)
    summary = {
        "validation": measure,
        "outcome": asdict(outcome),
        "trainable_parameters": module.trainable(),
        "rows_seen": {j.task.name: len(rows) for j, rows in zip(jobs, chosen, strict=True)},
        "tasks": summaries,
        "borrowed": borrowed and borrowed.numbers(),
    }
    write_results(folder, summary)
    return JointRun(tuned, names, evaluations, outcome, folder, summary, borrowed)


def prepare_jointly(
    config: JointConfig,
    model: FrozenModel | None,
    given: Sequence[Task] | None,
    library: Library | None,
) -> tuple[Transfer, list[Job[PromptModule]]]:
    """The module, and a job for every task, all with that module."""
    if config.method in PLAIN or config.method not in across_tasks.METHODS.items:
        raise ConfigError(
            f"method={config.method} tunes one task at a time; several together: "
            + ", ".join(n for n, m in across_tasks.METHODS.items.items() if m.joint)
        )
    if config.objective != "vocabulary" or config.init in ("labels", "wording"):
        raise ConfigError(
            "Several tasks have several label words and wordings: objective=choices, init=labels "
            "and init=wording are for one."
        )
    chosen = list(given or [])
    if given is None:
        for name in config.task.split("+"):
            chosen.append(tasks.load(name, **config.data_of(name)))
    if config.few_shot is not None:
        chosen = [task.few_shot(config.few_shot, config.seed) for task in chosen]
    chosen = [with_labels(task, config.labels, number) for number, task in enumerate(chosen)]
    model = model_for(config, model)
    templates = [config.template or task.template(model.family) for task in chosen]
    if config.task_prefix:
        pairs = zip(templates, chosen, strict=True)
        templates = [with_prefix(template, task.name) for template, task in pairs]
    names = tuple(task.name for task in chosen)
    pool = sources(config, model, names, library)
    layout = layout_for(config, model, pool)
    initialiser, parents = initialiser_for(config, model, chosen[0], library)
    generator = torch.Generator().manual_seed(config.seed)

    def draw() -> Start:
        return initialiser(model, layout, generator)

    encoded = [
        encode(model, task, task.rows("train"), layout.blank(), template)
        for task, template in zip(chosen, templates, strict=True)
    ]
    for number, rows in enumerate(encoded):
        for row in rows:
            row.task = number
    everything = [row for rows in encoded for row in rows]
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        bound = across_tasks.pool_of(pool, layout)
        start = across_tasks.Given(model, layout, bound, draw, names, everything)
        module = across_tasks.build(config.method, start, config.transfer)
    parents += across_tasks.parents(pool, f"{config.method}-source")
    settled = {"pool": list(pool), "length": layout.length}
    jobs: list[Job[PromptModule]] = []
    for number, (task, template) in enumerate(zip(chosen, templates, strict=True)):
        objective = Objective(model, task, config.objective, template)
        check = validation(config, model, task, module.of(number), objective, template)
        jobs.append(
            Job(model, task, template, module, encoded[number], objective, check, parents, settled)
        )
    return module, jobs
