"""Tune a prompt, plan it, go on with it."""

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml

import promptgraft
from promptgraft import files, prompts
from promptgraft.analysis import curves
from promptgraft.api.config import TuneConfig
from promptgraft.api.job import Job, module_settings, prepare, validated_by
from promptgraft.api.names import library_name
from promptgraft.errors import PromptgraftError
from promptgraft.library import Library
from promptgraft.models import FrozenModel
from promptgraft.modules import PromptModule
from promptgraft.prompts import Prompt, PromptCard
from promptgraft.tasks import Row, Task
from promptgraft.training import Evaluation, Outcome, Report, evaluate, read, train
from promptgraft.transfer.across_tasks import AdaptivePrompt, Transfer


@dataclass(frozen=True)
class Run:
    """What `tune` gives: the prompt, how good it is, and where everything lies.

    adaptive  of a method that gives each row its own prompt: what does; `prompt` is then the one
              of no row in particular
    """

    prompt: Prompt
    name: str
    outcome: Outcome
    evaluation: Evaluation | None
    folder: Path
    summary: dict[str, Any] = field(default_factory=dict)
    adaptive: AdaptivePrompt | None = None


@dataclass(frozen=True)
class Plan:
    """What a run would take (`tune --dry-run`).

    stored  numbers of the prompt that is kept; what is trained may be more, such as an MLP
    share   of `stored` in the model's parameters
    """

    trainable: int
    stored: int
    frozen: int
    share: float
    rows: int
    flops_per_step: float
    bytes_peak: float


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
    A model or task that is loaded already may be passed in place of its name.

    Raises ConfigError, DataError, WrongModelError, TrainingError or StoppedError (after Ctrl-C).
    """
    if config is None:
        for key, value in (("model", model), ("task", task)):
            if value is not None:
                settings[key] = value if isinstance(value, str) else value.name
        config = read(TuneConfig, None, settings)
    loaded = model if isinstance(model, FrozenModel) else None
    job = prepare(config, loaded, task if isinstance(task, Task) else None, library)
    config = config.model_copy(update=job.settled)
    folder = config.folder()
    folder.mkdir(parents=True, exist_ok=True)
    if not resume:
        _drop_checkpoint(folder)  # of a run with other settings
    _write_yaml(folder / "config.yaml", config)
    outcome = train(
        job.module,
        job.encoded,
        job.objective,
        config.training(),
        folder,
        job.validate,
        resume,
        report,
    )
    test = _test_rows(job.task, config)
    evaluation = None
    if test:
        frozen = _frozen(job.module, _card(config, job, {}))
        evaluation = evaluate(job.model, job.task, test, frozen, **config.decoding)
    card = _card(config, job, _metrics(outcome, evaluation))
    frozen = _frozen(job.module, card)
    adaptive = frozen if isinstance(frozen, AdaptivePrompt) else None
    prompt = frozen.usual if isinstance(frozen, AdaptivePrompt) else frozen
    state = _module_state(config, job.module) if config.keep_module else None
    state = adaptive.state if adaptive is not None else state
    prompts.save(prompt, folder, state)
    store = library or Library()
    name = store.add(prompt, library_name(card, config.tag), state, replace=True)
    summary = _summary(job, outcome, evaluation)
    with files.whole_file(folder / "results.json") as temporary:
        temporary.write_text(json.dumps(summary, indent=2))
    lines = curves.read(folder / "metrics.jsonl")
    curves.save(lines, summary["validation"], folder / "curves.png")
    _drop_checkpoint(folder)
    return Run(prompt, name, outcome, evaluation, folder, summary, adaptive)


def _frozen(module: PromptModule, card: PromptCard) -> Prompt | AdaptivePrompt:
    """The module as a value."""
    if isinstance(module, Transfer) and module.adapts:
        return AdaptivePrompt(module, card)
    return module.freeze(card)


def plan(config: TuneConfig) -> Plan:
    """What a run would take, without running it: parameters, FLOPs, memory."""
    job = prepare(config, None, None, None, dry=True)
    rows = job.encoded[: config.batch_size]
    cost = job.model.cost(job.model.collate(rows), job.module())
    stored = job.module.layout.numbers()
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


def resume(
    folder: Path,
    *,
    library: Library | None = None,
    report: Callable[[Report], None] | None = None,
) -> Run:
    """Go on with a run that was stopped."""
    files.heal(folder / "checkpoint")
    if not (folder / "checkpoint").is_dir():
        raise PromptgraftError(f"{folder} holds no checkpoint; nothing can be resumed there.")
    config: TuneConfig = read(TuneConfig, folder / "config.yaml", {"out": folder})
    return tune(config, library=library, resume=True, report=report)


def _drop_checkpoint(folder: Path) -> None:
    if (folder / "checkpoint").is_dir():
        files.remove_folder(folder / "checkpoint")


def _test_rows(task: Task, config: TuneConfig) -> list[Row]:
    if "test" not in task.splits:
        return []
    chosen = task if config.test_rows is None else task.subset("test", config.test_rows, 0)
    return chosen.rows("test")


def _metrics(outcome: Outcome, evaluation: Evaluation | None) -> dict[str, float]:
    found = {}
    if outcome.best_score is not None:
        found["validation"] = outcome.best_score
    for name, value in (evaluation.scores if evaluation else {}).items():
        found[f"test.{name}"] = value
    return found


def _card(config: TuneConfig, job: Job, metrics: dict[str, float]) -> PromptCard:
    defaults = {
        "model",
        "task",
        "method",
        "template",
        "seed",
        "out",
        "tag",
        "device",
        "keep_module",
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


def _summary(job: Job, outcome: Outcome, evaluation: Evaluation | None) -> dict[str, Any]:
    """What results.json holds."""
    cut = [row.cut for row in job.encoded if row.cut]
    summary: dict[str, Any] = {
        "trainable_parameters": job.module.trainable(),
        "validation": validated_by(job.task),
        "outcome": asdict(outcome),
        "rows_cut": len(cut),
        "tokens_cut": sum(cut),
        "notes": list(job.task.notes),
    }
    if evaluation is not None:
        summary["test"] = {
            "scores": evaluation.scores,
            "intervals": evaluation.intervals,
            "samples": [
                {"prediction": prediction, "references": references}
                for prediction, references in zip(
                    evaluation.predictions[:20], evaluation.references[:20], strict=True
                )
            ],
        }
    return summary


def _write_yaml(path: Path, config: TuneConfig) -> None:
    text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
    with files.whole_file(path) as temporary:
        temporary.write_text(text)
