"""Tune a prompt, or plan it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from promptgraft import prompts, tasks
from promptgraft.analysis import curves
from promptgraft.api import auto
from promptgraft.api.borrowing import keep_borrowed, shares_of_rows, with_shares
from promptgraft.api.config import AUTO, TuneConfig
from promptgraft.api.folder import SAMPLES, begin, rows_to_score, summary_of, write_results
from promptgraft.api.job import Job, module_settings, prepare, prepare_weights, validated_by
from promptgraft.api.multitask import begin_with_others
from promptgraft.api.outcome import Run, card_of, frozen_as, keep, tested, validated
from promptgraft.api.samples import with_samples
from promptgraft.errors import ConfigError
from promptgraft.library import Library
from promptgraft.models import FrozenModel
from promptgraft.modules import PromptModule
from promptgraft.tasks import Task
from promptgraft.training import Outcome, Report, evaluate, processes, read, train
from promptgraft.transfer.across_tasks import AdaptivePrompt, Transfer, stored


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
            return auto.tune_ensemble(
                config, frozen_model, known, library or Library(), resume, report
            )
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
        name = keep(store, prompt, config.tag, folder, state)
    adaptive = tuned if isinstance(tuned, AdaptivePrompt) else None
    return Run(prompt, name, outcome, evaluation, folder, summary, adaptive, borrowed)


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


def _module_state(config: TuneConfig, module: PromptModule) -> prompts.ModuleState:
    return prompts.ModuleState(module_settings(config), dict(module.state_dict()))
