"""`method=auto`: for answers, prompts that were tuned in several ways and vote; for texts, the
prefix that does best with few rows.

Few rows hardly tell which way to tune suits them, and prompts that were tuned in different ways are
wrong about different rows. So none is chosen: all are tuned from the same rows, and each of the
label words gets the mean of the chances that they give it (`prompts.Ensemble`). A pool that does
harm is one voice of several.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from promptgraft import files, prompts
from promptgraft.analysis import curves
from promptgraft.api.config import TuneConfig
from promptgraft.api.folder import begin, drop_checkpoint, rows_to_score, summary_of, write_outcome
from promptgraft.api.job import Job, loaded, prepare, validated_by
from promptgraft.api.outcome import Run, card_of, frozen_as, keep, tested, validated
from promptgraft.errors import ConfigError, StoppedError, did_you_mean
from promptgraft.library import Library
from promptgraft.models import FrozenModel
from promptgraft.modules import PromptModule
from promptgraft.prompts import Ensemble, Prompt, PromptCard
from promptgraft.tasks import Task
from promptgraft.training import Objective, Outcome, Report, evaluate, processes, read, train
from promptgraft.training.described import Described
from promptgraft.transfer.across_tasks import stored

VOTING = "members"  # folder of a run that holds what votes
UNFINISHED = "unfinished"  # a file there, while the run goes on
MEMBERS: Mapping[str, Mapping[str, Any]] = {  # ways to tune: settings of a run
    "soft-prompt": {"method": "soft-prompt", "lr": 0.01},
    "wording": {
        "method": "soft-prompt", "init": "wording", "lr": 0.003, "objective": "choices",
    },
    "prefix": {"method": "prefix", "lr": 0.03},
    "mlp": {"method": "prefix", "module": "mlp", "objective": "choices"},
    "mixture": {
        "method": "crosspt", "transfer": {"configuration": "SILP", "encoder": "none"},
    },
}  # fmt: skip
WRITING = {"method": "prefix", "module": "mlp", "transfer": {}}  # by scripts/better_prefixes.py


class AutoSettings(Described):
    """Settings of method=auto, in `TuneConfig.transfer`."""

    members: list[str] = Field(default=list(MEMBERS), min_length=1)
    """Ways to tune, of `MEMBERS`. wording needs a task that has one, mixture a pool, prefix and mlp
    a model that takes prefixes: where that is missing they are left out."""

    @field_validator("members", mode="before")
    @classmethod
    def _known(cls, names: object) -> object:
        listed = names.split(",") if isinstance(names, str) else names
        for name in listed if isinstance(listed, list) else []:
            if name not in MEMBERS:
                near = did_you_mean(str(name), MEMBERS)
                raise ValueError(f"there is no {name!r}; there are {', '.join(MEMBERS)}.{near}")
        return listed


def members(config: TuneConfig, model: FrozenModel, task: Task) -> dict[str, TuneConfig]:
    """The settings of each run whose prompt votes, by name.

    Raises ConfigError if none is left, and for a learning rate, of which each has its own.
    """
    settings: AutoSettings = read(AutoSettings, None, config.transfer)
    if config.lr is not None:
        raise ConfigError(
            f"lr={config.lr} is for one way to tune, and the prompts of auto are tuned in several, "
            "each at its own rate: leave lr out."
        )
    missing = {
        "wording": not task.manual.get(model.family) or config.template is not None,
        "mixture": not config.pool,
        "prefix": not model.takes_prefixes,
        "mlp": not model.takes_prefixes,
    }
    names = [name for name in settings.members if not missing.get(name, False)]
    if not names:
        raise ConfigError(
            f"None of {', '.join(settings.members)} can be tuned here: there is no wording of the "
            "task, no pool, or the model takes no prefixes. Name more in transfer.members."
        )
    usual: dict[str, Any] = {"transfer": {}, "pool": [], "few_shot": None}
    found = {}
    for name in names:
        own = {**usual, **MEMBERS[name], "out": config.folder() / VOTING / name}
        if name == "mixture":
            own["pool"] = config.pool
        if own.get("objective") == "choices":
            own["objective"] = _objective(model, task)
        found[name] = config.model_copy(update=own)
    return found


def for_texts(config: TuneConfig) -> TuneConfig:
    """The settings where texts are to be written. Raises ConfigError for a pool."""
    if config.pool:
        raise ConfigError(
            "auto borrows from a pool only where answers are chosen; for texts name a method that "
            "does, such as method=spot or method=crosspt."
        )
    return config.model_copy(update=WRITING)


def tune_ensemble(
    config: TuneConfig,
    model: FrozenModel | None,
    task: Task,
    store: Library,
    resume: bool,
    report: Callable[[Report], None] | None,
) -> Run:
    """Tune the prompts that vote, one after the other; what they come to, scored and kept.

    Raises as `api.tune`; StoppedError says how to go on with all of them.
    """
    processes.alone("method=auto")
    task, model, _ = loaded(config, model, task)
    configs = members(config, model, task)
    jobs = {name: prepare(own, model, task, store) for name, own in configs.items()}
    configs = {name: own.model_copy(update=jobs[name].settled) for name, own in configs.items()}
    folder, started = config.folder(), time.monotonic()
    begin(folder, config, resume)
    _begin_voting(folder / VOTING, resume)
    tuned = []
    for number, (name, job) in enumerate(jobs.items()):
        try:
            told = shifted(report, number, len(jobs))
            tuned.append(_member(configs[name], job, resume, told))
        except StoppedError:
            raise StoppedError(
                f"Stopped at the prompt {number + 1} of {len(jobs)} that are to vote. "
                f"Go on with: promptgraft tune --resume {folder}"
            ) from None
    card = _card_of_all([one.card for one in tuned], list(jobs))
    ensemble, score = Ensemble(tuned, card), None
    if "validation" in task.splits:
        rows = task.subset("validation", config.evaluate_rows, config.seed).rows("validation")
        found = evaluate(model, task, rows, ensemble, whole=False)
        score = found.scores[task.metrics[0]]
    steps = config.steps * len(jobs)
    outcome = Outcome(steps, steps, score, time.monotonic() - started)
    run = _scored_and_kept(ensemble, jobs, config, outcome, store)
    (folder / VOTING / UNFINISHED).unlink()
    return run


def _scored_and_kept(
    ensemble: Ensemble,
    jobs: Mapping[str, Job[PromptModule]],
    config: TuneConfig,
    outcome: Outcome,
    store: Library,
) -> Run:
    """What an ensemble comes to: its scores, its folder, its place in the library."""
    folder, first = config.folder(), next(iter(jobs.values()))
    test = rows_to_score(first.task, config)
    evaluation = evaluate(first.model, first.task, test, ensemble) if test else None
    metrics = validated(outcome, first.task) | tested(evaluation)
    ensemble = ensemble.with_card(ensemble.card.model_copy(update={"metrics": metrics}))
    prompts.save(ensemble.usual, folder, ensemble.state)
    scored = zip(jobs, ensemble.members, strict=True)
    summary = summary_of(first, outcome, evaluation, test) | {
        "trainable_parameters": sum(job.module.trainable() for job in jobs.values()),
        "borrowed": None,
        "members": {name: one.card.metrics for name, one in scored},
    }
    lines = {name: curves.read(folder / VOTING / name / "metrics.jsonl") for name in jobs}
    write_outcome(folder, summary, curves.compare(lines, summary["validation"]))
    name = keep(store, ensemble.usual, config.tag, folder, ensemble.state)
    return Run(ensemble.usual, name, outcome, evaluation, folder, summary, ensemble)


def _begin_voting(folder: Path, resume: bool) -> None:
    """Members of an earlier run go; from here on there is something to resume."""
    if folder.is_dir() and not resume:
        files.remove_folder(folder)
    folder.mkdir(exist_ok=True)
    (folder / UNFINISHED).touch()


def _member(
    config: TuneConfig,
    job: Job[PromptModule],
    resume: bool,
    report: Callable[[Report], None] | None,
) -> Prompt:
    """One of the prompts of an ensemble, tuned in a folder of its own unless it lies there."""
    folder = config.folder()
    if resume and (folder / "prompt.json").exists():
        return prompts.load(folder)
    resume = resume and (folder / "checkpoint").is_dir()
    begin(folder, config, resume)
    outcome = train(job.module, job.encoded, job.objective, config.training(), folder,
                    job.validate, resume, report, validated_by(job.task))  # fmt: skip
    card = card_of(config, job, validated(outcome, job.task))
    prompt, _ = stored(frozen_as(job.module, card))
    prompts.save(prompt, folder)
    drop_checkpoint(folder)
    return prompt


def _card_of_all(cards: Sequence[PromptCard], names: Sequence[str]) -> PromptCard:
    """The card of an ensemble: what its members have in common, and their names."""
    first = cards[0]
    alike: dict[str, Any] = {
        name: value
        for name, value in first.hyperparameters.items()
        if all(card.hyperparameters.get(name) == value for card in cards)
    }
    parents = tuple(dict.fromkeys(parent for card in cards for parent in card.parents))
    settings = alike | {"members": list(names)}
    update = {"method": prompts.ENSEMBLE, "hyperparameters": settings, "parents": parents}
    return first.model_copy(update=update)


def under_way(folder: Path) -> bool:
    """Whether prompts that are to vote are being tuned in a run's folder."""
    return (folder / VOTING / UNFINISHED).exists()


def shifted(
    report: Callable[[Report], None] | None, done: int, runs: int
) -> Callable[[Report], None] | None:
    """Reports of one tuning of several that are alike, as of all of them together."""
    if report is None:
        return None

    def tell(now: Report) -> None:
        to_come = max(now.steps - now.step, 1)
        left = now.seconds_left * (1 + (runs - done - 1) * now.steps / to_come)
        step, steps = done * now.steps + now.step, runs * now.steps
        report(replace(now, step=step, steps=steps, seconds_left=left))

    return tell


def _objective(model: FrozenModel, task: Task) -> Literal["choices", "vocabulary"]:
    """The label words alone, where they can be told apart so."""
    try:
        Objective(model, task, "choices")
    except ConfigError:
        return "vocabulary"
    return "choices"
