"""Tune a prompt, or plan it."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import promptgraft
from promptgraft import files, prompts, tasks
from promptgraft.analysis import curves
from promptgraft.analysis.borrowing import Borrowing
from promptgraft.api import auto
from promptgraft.api.borrowing import keep_borrowed, shares_of_rows, with_shares
from promptgraft.api.config import AUTO, TuneConfig
from promptgraft.api.folder import (
    SAMPLES,
    begin,
    drop_checkpoint,
    rows_to_score,
    summary_of,
    write_curves,
    write_results,
)
from promptgraft.api.job import (
    Job,
    loaded,
    module_settings,
    prepare,
    prepare_weights,
    validated_by,
)
from promptgraft.api.multitask import begin_with_others
from promptgraft.api.names import library_name
from promptgraft.api.samples import with_samples
from promptgraft.errors import ConfigError, PromptgraftError, StoppedError
from promptgraft.library import Library
from promptgraft.models import FrozenModel
from promptgraft.modules import PromptModule
from promptgraft.prompts import Ensemble, Prompt, PromptCard
from promptgraft.tasks import Task
from promptgraft.training import Evaluation, Outcome, Report, evaluate, processes, read, train
from promptgraft.transfer.across_tasks import AdaptivePrompt, Transfer, frozen, stored


@dataclass(frozen=True)
class Run:
    """What `tune` gives: the prompt, how good it is, and where everything lies.

    name      in the library; the folder, where the model was tuned with the prompt and lies there
    adaptive  of a method that gives each row its own prompt: what does; `prompt` is then the one
              of no row in particular. Of method=auto the ensemble, of which `prompt` is the first
    borrowed  what the prompt is mixed from; None where the method has no weights
    """

    prompt: Prompt
    name: str
    outcome: Outcome
    evaluation: Evaluation | None
    folder: Path
    summary: dict[str, Any] = field(default_factory=dict)
    adaptive: AdaptivePrompt | Ensemble | None = None
    borrowed: Borrowing | None = None


@dataclass(frozen=True)
class Plan:
    """What a run would take (`tune --dry-run`).

    stored  numbers of the prompt that is kept; what is trained may be more, such as an MLP
    frozen  parameters of the model as it is
    share   stored / frozen
    flops_per_step, bytes_peak  None for a baseline, whose weights are no prompt's
    """

    trainable: int
    stored: int
    frozen: int
    share: float
    rows: int
    flops_per_step: float | None
    bytes_peak: float | None


def tune(
    config: TuneConfig | None = None,
    *,
    library: Library | None = None,
    model: str | FrozenModel | None = None,
    task: str | Task | None = None,
    resume: bool = False,
    report: Callable[[Report], None] | None = None,
    **settings: Any,
) -> Run:
    """Tune a prompt, score it on the test split, write the run folder, keep it in the library.

    `tune(model="mini/bert-s", task="sst2")` is enough; every setting of `TuneConfig` may be named.
    A model or task that is loaded already may be passed in place of its name. Where a method tunes
    the model too (ptg with backbone=tuned), it is written to `model` in the run's folder, and the
    prompt beside it is of that model: the library keeps prompts of models that others have too.

    Started by `accelerate launch`, the processes divide the rows of every batch, to the same prompt
    as one process; the first one alone writes and scores, the others return the prompt unscored.

    Raises ConfigError, DataError, WrongModelError, TrainingError or StoppedError (after Ctrl-C).
    """
    if config is None:
        for key, value in (("model", model), ("task", task)):
            if value is not None:
                settings[key] = value if isinstance(value, str) else value.name
        config = read(TuneConfig, None, settings)
    elif beside := [*settings, *(name for name in (model, task) if isinstance(name, str))]:
        raise ConfigError(f"tune was given a config and {', '.join(beside)} beside it; put all in.")
    if config.trains_weights:
        raise ConfigError(f"{config.method} trains weights, not a prompt: use api.tune_weights.")
    frozen_model = model if isinstance(model, FrozenModel) else None
    known = task if isinstance(task, Task) else None
    if config.method == AUTO:
        known = known or tasks.load(config.task, **config.data)
        if known.verbalizer:
            return _ensemble(config, frozen_model, known, library or Library(), resume, report)
        config = auto.for_texts(config)
    job = prepare(config, frozen_model, known, library)
    config = config.model_copy(update=job.settled)
    folder = config.folder()
    begin(folder, config, resume)
    if not resume:
        begin_with_others(job, config, report)
    outcome = train(
        job.module,
        job.encoded,
        job.objective,
        config.training(),
        folder,
        with_samples(job, config),
        resume,
        report,
        validated_by(job.task),
    )
    if processes.first():
        return _scored_and_kept(job, config, outcome, library or Library())
    prompt, _ = stored(frozen_as(job.module, card_of(config, job, {})))
    return Run(prompt, str(folder), outcome, None, folder)


def _scored_and_kept(
    job: Job[PromptModule], config: TuneConfig, outcome: Outcome, store: Library
) -> Run:
    """What a run came to: its scores, its folder, its prompt in the library."""
    folder = config.folder()
    own_model = isinstance(job.module, Transfer) and job.module.tuned is not None
    if own_model:
        job.model.save(folder / "model")
    test = rows_to_score(job.task, config)
    evaluation, own_shares = None, []
    if test:
        tuned = frozen_as(job.module, card_of(config, job, {}))
        own_shares = shares_of_rows(tuned, job.model, test[:SAMPLES])
        evaluation = evaluate(job.model, job.task, test, tuned, **config.decoding)
    borrowed = keep_borrowed(job.module, folder)
    shares = borrowed.shares() if borrowed else {}
    metrics = validated(outcome, job.task) | tested(evaluation)
    card = with_shares(card_of(config, job, metrics), shares)
    curve = curves.thinned(curves.read(folder / "metrics.jsonl"))
    card = card.model_copy(update={"curve": curve})
    tuned = frozen_as(job.module, card)
    prompt, kept = stored(tuned)
    state = _module_state(config, job.module) if config.keep_module else None
    state = kept or state
    prompts.save(prompt, folder, state)
    summary = summary_of(job, outcome, evaluation, test, own_shares)
    summary |= {"borrowed": borrowed and borrowed.numbers()}
    write_results(folder, summary)
    name = str(folder)
    if not own_model:
        try:
            name = store.add(prompt, library_name(card, config.tag), state, replace=True)
        except PromptgraftError as error:
            raise type(error)(f"{error}\nThe prompt and its results are in {folder}.") from error
    adaptive = tuned if isinstance(tuned, AdaptivePrompt) else None
    return Run(prompt, name, outcome, evaluation, folder, summary, adaptive, borrowed)


def _ensemble(
    config: TuneConfig,
    model: FrozenModel | None,
    task: Task,
    store: Library,
    resume: bool,
    report: Callable[[Report], None] | None,
) -> Run:
    """Tune the prompts of method=auto one after the other; what they come to as an ensemble."""
    processes.alone("method=auto")
    task, model, _ = loaded(config, model, task)
    configs = auto.members(config, model, task)
    jobs = {name: prepare(own, model, task, store) for name, own in configs.items()}
    folder = config.folder()
    begin(folder, config, resume)
    _begin_voting(folder / auto.VOTING, resume)
    members, seconds = [], time.monotonic()
    for number, (name, job) in enumerate(jobs.items()):
        own = configs[name].model_copy(update=job.settled)
        told = auto.shifted(report, number, len(jobs))
        try:
            members.append(_member(own, job, resume, told))
        except StoppedError:
            raise StoppedError(
                f"Stopped at the prompt {number + 1} of {len(jobs)} that are to vote. "
                f"Go on with: promptgraft tune --resume {folder}"
            ) from None
    first = next(iter(jobs.values()))
    card = _card_of_all([member.card for member in members], list(jobs))
    ensemble, score = prompts.Ensemble(members, card), None
    if "validation" in task.splits:
        rows = task.subset("validation", config.evaluate_rows, config.seed).rows("validation")
        found = evaluate(model, task, rows, ensemble, whole=False)
        score = found.scores[task.metrics[0]]
    steps = config.steps * len(jobs)
    outcome = Outcome(steps, steps, score, time.monotonic() - seconds)
    test = rows_to_score(task, config)
    evaluation = evaluate(model, task, test, ensemble) if test else None
    metrics = validated(outcome, task) | tested(evaluation)
    ensemble = ensemble.with_card(card.model_copy(update={"metrics": metrics}))
    prompts.save(ensemble.usual, folder, ensemble.state)
    trained = sum(job.module.trainable() for job in jobs.values())
    summary = summary_of(first, outcome, evaluation, test) | {
        "trainable_parameters": trained,
        "borrowed": None,
        "members": {name: one.card.metrics for name, one in zip(jobs, members, strict=True)},
    }
    lines = {name: curves.read(own.folder() / "metrics.jsonl") for name, own in configs.items()}
    write_curves(folder, summary, curves.compare(lines, summary["validation"]))
    name = store.add(ensemble.usual, library_name(card, config.tag), ensemble.state, replace=True)
    (folder / auto.VOTING / auto.UNFINISHED).unlink()
    return Run(ensemble.usual, name, outcome, evaluation, folder, summary, ensemble)


def _begin_voting(folder: Path, resume: bool) -> None:
    """Members of an earlier run go; from here on there is something to resume."""
    if folder.is_dir() and not resume:
        files.remove_folder(folder)
    folder.mkdir(exist_ok=True)
    (folder / auto.UNFINISHED).touch()


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
    update = {"method": prompts.ensemble.METHOD, "hyperparameters": settings, "parents": parents}
    return first.model_copy(update=update)


def frozen_as(module: PromptModule, card: PromptCard, task: int = 0) -> Prompt | AdaptivePrompt:
    """The module as a value; of a joint run for one of its tasks."""
    return frozen(module, card, task) if isinstance(module, Transfer) else module.freeze(card)


def plan(config: TuneConfig) -> Plan:
    """What a run would take, without running it: parameters, FLOPs, memory."""
    if config.trains_weights:
        own = prepare_weights(config, None, None)
        trained, rows = own.module.trainable(), len(own.encoded)
        return Plan(trained, trained, own.module.total, own.module.share(), rows, None, None)
    task = None
    if config.method == AUTO:
        task = tasks.load(config.task, **config.data)
        if task.verbalizer:
            raise ConfigError(
                "auto tunes several prompts one after the other, by several methods; name one of "
                "them to see what a run takes."
            )
        config = auto.for_texts(config)
    job = prepare(config, None, task, None, dry=True)
    cost = job.model.cost(job.model.collate(job.encoded[: config.batch_size]), job.module())
    stored = job.module.layout.numbers()
    if isinstance(job.module, Transfer) and job.module.adapts:  # what emits the prompts is kept
        stored = sum(tensor.numel() for tensor in job.module.state_dict().values())
    frozen = sum(p.numel() for p in job.model.model.parameters())
    return Plan(
        job.module.trainable(),
        stored,
        frozen,
        stored / frozen,
        len(job.encoded),
        cost.flops,
        cost.bytes,
    )


def validated(outcome: Outcome, task: Task) -> dict[str, float]:
    """The best validation as a card has it, such as validation.accuracy or validation.loss."""
    if outcome.best_score is None:
        return {}
    measure = validated_by(task)
    return {
        f"validation.{measure}": -outcome.best_score if measure == "loss" else outcome.best_score
    }


def tested(evaluation: Evaluation | None) -> dict[str, float]:
    """The test scores as a card has them."""
    scores = evaluation.scores if evaluation else {}
    return {f"test.{name}": value for name, value in scores.items()}


def card_of(config: TuneConfig, job: Job[PromptModule], metrics: dict[str, float]) -> PromptCard:
    """The card of a run's prompt."""
    defaults = {
        "model",
        "task",
        "method",
        "template",
        "seed",
        "out",
        "tag",
        "checkpointing",
        "device",
        "keep_module",
        "samples",
    }
    chosen = config.model_dump(mode="json", exclude=defaults) | {"lr": config.training().lr}
    return PromptCard(
        kind=job.module.layout.kind,
        length=job.module.layout.length,
        base=job.model.reference,
        task=job.task.name,
        template=job.template,
        verbalizer=dict(job.task.verbalizer) if job.task.verbalizer else None,
        method=config.method if config.module == "direct" else f"{config.method}:{config.module}",
        hyperparameters=chosen,
        seed=config.seed,
        data_hash=job.task.data_hash(),
        metrics={name: value for name, value in metrics.items() if math.isfinite(value)},
        parents=job.parents,
        library_version=promptgraft.__version__,
        created=prompts.now(),
    )


def _module_state(config: TuneConfig, module: PromptModule) -> prompts.ModuleState:
    return prompts.ModuleState(module_settings(config), dict(module.state_dict()))
