"""Tune one prompt for several models together, so that it is also good for others."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator, model_validator

from promptgraft import modules, prompts, tasks
from promptgraft.api.config import TuneConfig
from promptgraft.api.folder import begin, rows_to_score, summary_of, write_results
from promptgraft.api.job import Job, mean_validation, validated_by, validation
from promptgraft.api.outcome import card_of, keep, tested
from promptgraft.library import Library
from promptgraft.models import FrozenModel
from promptgraft.modules import PromptModule, value_of
from promptgraft.prompts import Prompt
from promptgraft.tasks import Task
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
from promptgraft.transfer.across_models import shared_anchors
from promptgraft.transfer.across_models.method import Space
from promptgraft.transfer.across_models.shared import SharedObjective, SharedPrompt

# Settings of `tune` that mean nothing here, and would be passed over in silence.
ELSEWHERE = ("method", "module", "init", "pool", "teachers", "multitask", "noise", "hull",
             "keep_module")  # fmt: skip


class SharedConfig(TuneConfig):
    """Everything `tune_shared` may be told."""

    model: str
    """The models, with + between: mini/bert-s+mini/roberta-s."""
    words: int = Field(default=3000, gt=0)
    """How many words the virtual tokens are sums of: the most frequent that all models know as one
    token."""
    lr: float = Field(default=0.003, gt=0)
    """Learning rate of their weights."""

    @field_validator("model")
    @classmethod
    def _several(cls, model: str) -> str:
        names = model.split("+")
        if len(names) < 2 or len({Path(name).name for name in names} - {""}) < len(names):
            raise ValueError("expected several different models with + between")
        return model

    @model_validator(mode="after")
    def _plain(self) -> "SharedConfig":
        if changed := [name for name in ELSEWHERE if not self._is_usual(name)]:
            raise ValueError(
                f"a prompt of several models is a soft prompt made of words alone: leave out "
                f"{', '.join(changed)}"
            )
        return self

    @property
    def models(self) -> list[str]:
        """Their names."""
        return self.model.split("+")


@dataclass(frozen=True)
class SharedRun:
    """What `tune_shared` gives, by model: the prompt, its name in the library, its scores."""

    prompts: Mapping[str, Prompt]
    names: Mapping[str, str]
    evaluations: Mapping[str, Evaluation]
    outcome: Outcome
    folder: Path
    summary: dict[str, Any]


def tune_shared(
    config: SharedConfig,
    *,
    library: Library | None = None,
    models: Mapping[str, FrozenModel] | None = None,
    task: Task | None = None,
    resume: bool = False,
    report: Callable[[Report], None] | None = None,
) -> SharedRun:
    """Tune one prompt for several models; what it is in each of them is scored and kept.

    Every batch holds rows for all models. The best state is the one with the best mean of what
    each is validated by.

    models, task  those of the settings, if they are loaded already; models by name

    Raises as `tune` does, and PromptgraftError if the models have no word in common.
    """
    processes.alone("Tuning for several models")
    module, jobs = prepare_shared(config, models, task)
    folder = config.folder()
    begin(folder, config, resume)
    measure = validated_by(jobs[0].task)

    outcome = train(
        module,
        [row for job in jobs for row in job.encoded],
        SharedObjective(module, [job.objective for job in jobs]),
        config.training(),
        folder,
        mean_validation(jobs),
        resume,
        report,
        measure,
    )
    store = library or Library()
    tuned: dict[str, Prompt] = {}
    names, evaluations, summaries = {}, {}, {}
    for number, (name, job) in enumerate(zip(config.models, jobs, strict=True)):
        emitted = {site: t.detach() for site, t in module.within(number).items()}
        card = card_of(config, job, {})
        chosen = {k: v for k, v in card.hyperparameters.items() if k not in ELSEWHERE}
        chosen["shared_with"] = [other for other in config.models if other != name]
        card = card.model_copy(update={"method": "soft-prompt:shared", "hyperparameters": chosen})
        if test := rows_to_score(job.task, config):
            value = value_of(emitted, card)
            evaluations[name] = evaluate(job.model, job.task, test, value, **config.decoding)
        card = card.model_copy(update={"metrics": tested(evaluations.get(name))})
        tuned[name] = value_of(emitted, card)
        prompts.save(tuned[name], folder / name.replace("/", "-"))
        names[name] = keep(store, tuned[name], config.tag, folder)
        summaries[name] = summary_of(job, outcome, evaluations.get(name), test)
    summary = {
        "validation": measure,
        "outcome": asdict(outcome),
        "trainable_parameters": module.trainable(),
        "models": summaries,
    }
    write_results(folder, summary)
    return SharedRun(tuned, names, evaluations, outcome, folder, summary)


def prepare_shared(
    config: SharedConfig, models: Mapping[str, FrozenModel] | None, task: Task | None
) -> tuple[SharedPrompt, list[Job[PromptModule]]]:
    """The module, and a job for every model, all with that module."""
    task = task or tasks.load(config.task, **config.data)
    if config.few_shot is not None:
        task = task.few_shot(config.few_shot, config.seed)
    loaded = [
        (models or {}).get(name)
        or FrozenModel.load(name, config.device, config.dtype, max_length=config.max_length)
        for name in config.models
    ]
    words = shared_anchors(loaded)[: config.words]
    layout = modules.layout("soft-prompt", config.length, loaded[0])
    module = SharedPrompt(layout, [Space.of(model, words) for model in loaded], config.seed)
    jobs: list[Job[PromptModule]] = []
    for number, model in enumerate(loaded):
        model.checkpointing = config.checkpointing
        template = config.template or task.template(model.family)
        encoded = encode(model, task, task.rows("train"), module.within(number), template)
        for row in encoded:
            row.task = number
        objective = Objective(model, task, config.objective, template)
        check = validation(config, model, task, module.of(number), objective, template)
        jobs.append(Job(model, task, template, module, encoded, objective, check, (), {}))
    return module, jobs
