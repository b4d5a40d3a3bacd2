"""The public verbs: names in, objects out."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
import yaml
from pydantic import Field

import promptgraft
from promptgraft import files, modules, prompts, tasks
from promptgraft.analysis import curves, tokens
from promptgraft.errors import ConfigError, PromptgraftError
from promptgraft.library import Library
from promptgraft.models import FrozenModel, Rows
from promptgraft.modules import INITIALISERS, Initialiser, PromptModule
from promptgraft.prompts import Parent, Prompt, PromptCard
from promptgraft.tasks import SPLITS, Row, Task
from promptgraft.training import (
    Evaluation,
    Objective,
    Outcome,
    Report,
    TrainingConfig,
    mean_loss,
    read,
    train,
)
from promptgraft.training import encode as encode_task
from promptgraft.training import evaluate as evaluate_rows
from promptgraft.transfer import across_models

RATES = {  # learning rates that did best on validation data, by method and module
    ("soft-prompt", "direct"): 0.03,
    ("prefix", "direct"): 0.01,
}
NETWORK_RATE = 1e-3  # for mlp, linear and lstm


class TuneConfig(TrainingConfig):
    """Everything `tune` may be told."""

    model: str
    """A mini, a local folder or a model of the hub."""
    task: str
    """A built-in task, a file, a folder, a YAML file, or hub:NAME."""
    data: dict[str, Any] = Field(default_factory=dict)
    """Settings of the task, as `tasks.load` takes them: text, label, verbalizer, metrics, ..."""
    method: Literal["soft-prompt", "prefix"] = "soft-prompt"
    module: str = "direct"
    """direct, mlp, linear or lstm."""
    hidden: int = Field(default=512, gt=0)
    """Width of the mlp or lstm."""
    length: int = Field(default=20, gt=0)
    """Virtual tokens, P."""
    init: str = "vocabulary"
    """own, random, vocabulary, text, labels or prompt."""
    init_text: str | None = None
    """The text that init=text starts from."""
    init_prompt: str | None = None
    """The prompt (a name in the library or a folder) that init=prompt starts from."""
    template: str | None = None
    """In place of the task's own."""
    few_shot: int | None = Field(default=None, gt=0)
    """Training rows: of every label for classification, in all for the rest. None: all."""
    lr: float | None = Field(default=None, gt=0)  # type: ignore[assignment]
    """Learning rate; None: the method's own."""
    test_rows: int | None = Field(default=None, gt=0)
    """Test rows to score at the end; None: all."""
    max_length: int | None = Field(default=None, gt=0)
    """Longest row in tokens; None: what the model takes."""
    device: str = "auto"
    dtype: str = "auto"
    out: Path | None = None
    """Folder of the run; default runs/TASK@MODEL."""
    tag: str | None = None
    """For the name in the library: task@model:tag."""
    keep_module: bool = False
    """Save the module with the prompt, to go on training."""

    def training(self) -> TrainingConfig:
        """The part that the loop needs, with the learning rate decided."""
        rate = self.lr or RATES.get((self.method, self.module), NETWORK_RATE)
        own = {name: getattr(self, name) for name in TrainingConfig.model_fields}
        return TrainingConfig(**own | {"lr": rate})

    def folder(self) -> Path:
        """Where the run is written."""
        name = f"{Path(self.task).name.split('.')[0]}@{self.model}-{self.method}".replace("/", "-")
        return self.out or Path("runs") / name


@dataclass(frozen=True)
class Run:
    """What `tune` gives: the prompt, how good it is, and where everything lies."""

    prompt: Prompt
    name: str
    outcome: Outcome
    evaluation: Evaluation | None
    folder: Path
    summary: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """What a run would take (`tune --dry-run`)."""

    trainable: int
    frozen: int
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
    job = _prepare(config, loaded, task if isinstance(task, Task) else None, library)
    folder = config.folder()
    folder.mkdir(parents=True, exist_ok=True)
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
    prompt = job.module.freeze(_card(config, job, {}))
    evaluation = None
    if test:
        evaluation = evaluate_rows(job.model, job.task, test, prompt)
    card = _card(config, job, _metrics(outcome, evaluation))
    prompt = prompt.with_card(card)
    state = _module_state(config, job.module) if config.keep_module else None
    prompts.save(prompt, folder, state)
    store = library or Library()
    name = store.add(prompt, _library_name(card, config.tag), state, replace=True)
    summary = _summary(job, outcome, evaluation)
    with files.whole_file(folder / "results.json") as temporary:
        temporary.write_text(json.dumps(summary, indent=2))
    lines = curves.read(folder / "metrics.jsonl")
    curves.save(lines, summary["validation"], folder / "curves.png")
    return Run(prompt, name, outcome, evaluation, folder, summary)


def plan(config: TuneConfig) -> Plan:
    """What a run would take, without running it: parameters, FLOPs, memory."""
    job = _prepare(config, None, None, None)
    rows = job.encoded[: config.batch_size]
    cost = job.model.cost(job.model.collate(rows), job.module())
    return Plan(
        job.module.trainable(),
        sum(p.numel() for p in job.model.model.parameters()),
        len(job.encoded),
        cost.flops,
        cost.bytes,
    )


def evaluate(
    prompt: str | Prompt | None,
    task: str | Task | None = None,
    *,
    model: str | FrozenModel | None = None,
    template: str | None = None,
    split: str = "test",
    rows: int | None = None,
    data: Mapping[str, Any] | None = None,
    library: Library | None = None,
    **settings: Any,
) -> Evaluation:
    """Score a prompt (or, with None, the bare model) on a split of a task.

    task   default: the one that the prompt was made for, if it is built in
    model  default: the one that the prompt was made for
    data   settings of a task given by name or file, as `tasks.load` takes them; for a file the
           columns and label words that the prompt was tuned with, if none are given
    """
    value = resolve(prompt, library) if isinstance(prompt, str) else prompt
    chosen = _task_for(value, task, data or {})
    frozen = _model_for(value, model)
    if rows is not None:
        chosen = chosen.subset(split, rows, seed=0)
    own = template or (value.card.template if value is not None else None)
    return evaluate_rows(
        frozen, chosen, chosen.rows(split), value, own or chosen.template(frozen.family), **settings
    )


def generate(
    prompt: str | Prompt,
    sources: Rows,
    *,
    model: str | FrozenModel | None = None,
    library: Library | None = None,
    **settings: Any,
) -> list[str]:
    """Texts that a prompt makes its model write; `settings` as for `FrozenModel.generate`."""
    value = resolve(prompt, library) if isinstance(prompt, str) else prompt
    return _model_for(value, model).generate(sources, value, **settings)


def transfer(
    prompt: str | Prompt,
    to: str | FrozenModel,
    *,
    source: str | FrozenModel | None = None,
    template: str | None = None,
    tag: str | None = None,
    library: Library | None = None,
) -> tuple[Prompt, str]:
    """Move a soft prompt to another model without training; keep it in the library.

    source    default: the model that the prompt's card names
    template  default: the source's, or between families the task's own for the target's family

    Returns the new prompt and its name. Raises what `transfer.across_models.transfer` raises.
    """
    store = library or Library()
    value = resolve(prompt, store) if isinstance(prompt, str) else prompt
    origin = _model_for(value, source)
    target = to if isinstance(to, FrozenModel) else FrozenModel.load(to)
    if template is None and origin.family != target.family and value.card.task is not None:
        try:
            template = tasks.load(value.card.task).template(target.family)
        except PromptgraftError:
            template = None  # the task is not at hand; the target's plain template serves
    moved = across_models.transfer(value, origin, target, template)
    return moved, store.add(moved, _library_name(moved.card, tag), replace=True)


def nearest_tokens(
    prompt: str | Prompt,
    count: int = 5,
    *,
    model: FrozenModel | None = None,
    library: Library | None = None,
) -> list[list[tuple[str, float]]]:
    """For each virtual token of a soft prompt the nearest real tokens, with their cosines."""
    value = resolve(prompt, library) if isinstance(prompt, str) else prompt
    return tokens.nearest_tokens(_model_for(value, model), value, count)


def resolve(name: str, library: Library | None = None) -> Prompt:
    """A prompt by its folder, or by its name in the library."""
    if (Path(name) / "prompt.json").is_file():
        return prompts.load(Path(name))
    return (library or Library()).get(name)


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


@dataclass(frozen=True)
class _Job:
    """A run, ready to start."""

    model: FrozenModel
    task: Task
    template: str
    module: PromptModule
    encoded: Sequence[Any]
    objective: Objective
    validate: Callable[[], float] | None
    parents: tuple[Parent, ...]


def _prepare(
    config: TuneConfig, model: FrozenModel | None, task: Task | None, library: Library | None
) -> _Job:
    task = task or tasks.load(config.task, **config.data)
    if config.few_shot is not None:
        task = task.few_shot(config.few_shot, config.seed)
    model = model or FrozenModel.load(
        config.model, config.device, config.dtype, max_length=config.max_length
    )
    template = config.template or task.template(model.family)
    layout = modules.layout(config.method, config.length, model)
    initialiser, parents = _initialiser(config, task, library)
    generator = torch.Generator().manual_seed(config.seed)
    start = initialiser(model, layout, generator)
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        more = {} if config.module == "direct" else {"hidden": config.hidden}
        module = modules.build(config.module, layout, start, **more)
    emitted = {name: tensor.detach() for name, tensor in module().items()}
    encoded = encode_task(model, task, task.rows("train"), emitted, template)
    objective = Objective(model, task, config.objective)
    validate = _validation(config, model, task, module, objective, template)
    return _Job(model, task, template, module, encoded, objective, validate, parents)


def _initialiser(
    config: TuneConfig, task: Task, library: Library | None
) -> tuple[Initialiser, tuple[Parent, ...]]:
    make = INITIALISERS[config.init]
    if config.init == "text":
        if config.init_text is None:
            raise ConfigError("init=text needs init_text, the text to start from.")
        return make(config.init_text), ()
    if config.init == "labels":
        return make(list((task.verbalizer or {}).values())), ()
    if config.init == "prompt":
        if config.init_prompt is None:
            raise ConfigError("init=prompt needs init_prompt, a name in the library or a folder.")
        source = resolve(config.init_prompt, library)
        parent = Parent(
            name=config.init_prompt, content_hash=source.content_hash, relation="initialised-from"
        )
        return make(source), (parent,)
    return make(), ()


def _validation(
    config: TuneConfig,
    model: FrozenModel,
    task: Task,
    module: PromptModule,
    objective: Objective,
    template: str,
) -> Callable[[], float] | None:
    """The score that picks the best step: the task's first metric, for texts minus the loss."""
    if "validation" not in task.splits:
        return None
    rows = task.subset("validation", config.evaluate_rows, config.seed).rows("validation")
    if _validates(task) == "loss":
        emitted = {name: tensor.detach() for name, tensor in module().items()}
        encoded = encode_task(model, task, rows, emitted, template)
        return lambda: -mean_loss(objective, module, encoded, config.batch_size)

    def score() -> float:
        with torch.no_grad():
            found = evaluate_rows(model, task, rows, module(), template, intervals=False)
        return found.scores[task.metrics[0]]

    return score


def _test_rows(task: Task, config: TuneConfig) -> list[Row]:
    if "test" not in task.splits:
        return []
    chosen = task if config.test_rows is None else task.subset("test", config.test_rows, 0)
    return chosen.rows("test")


def _validates(task: Task) -> str:
    """What `_validation` measures: the loss for texts and numbers, else the first metric."""
    return "loss" if task.kind in ("generation", "regression") else task.metrics[0]


def _metrics(outcome: Outcome, evaluation: Evaluation | None) -> dict[str, float]:
    found = {}
    if outcome.best_score is not None:
        found["validation"] = outcome.best_score
    for name, value in (evaluation.scores if evaluation else {}).items():
        found[f"test.{name}"] = value
    return found


def _card(config: TuneConfig, job: _Job, metrics: dict[str, float]) -> PromptCard:
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
        kind=config.method,
        length=config.length,
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
    settings = {"module": config.module, "hidden": config.hidden}
    return prompts.ModuleState(settings, dict(module.state_dict()))


def _library_name(card: PromptCard, tag: str | None) -> str:
    """task@model[:tag]; a model that is a local folder goes by the folder's name."""
    model = card.base.name
    model = Path(model).name if Path(model).is_dir() else model
    return f"{Path(card.task or 'untitled').stem}@{model}" + (f":{tag}" if tag else "")


def _summary(job: _Job, outcome: Outcome, evaluation: Evaluation | None) -> dict[str, Any]:
    """What results.json holds."""
    cut = [row.cut for row in job.encoded if row.cut]
    summary: dict[str, Any] = {
        "trainable_parameters": job.module.trainable(),
        "validation": _validates(job.task),
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


def _task_for(prompt: Prompt | None, task: str | Task | None, data: Mapping[str, Any]) -> Task:
    if isinstance(task, Task):
        return task
    card = prompt.card if prompt is not None else None
    name = task or (card.task if card else None)
    if name is None:
        raise ConfigError("The task must be named: task=...")
    if tasks.known(name):
        return tasks.load(name, **data)
    if card is not None and task is None:
        raise ConfigError(
            f"{card.title} was tuned on {name}, which is not built in: name the data to score it "
            "on, with --task or task=..."
        )
    if card is not None and not data:
        own = card.hyperparameters.get("data")
        data = {k: v for k, v in own.items() if k not in SPLITS} if isinstance(own, dict) else {}
        if card.verbalizer:
            data = {"verbalizer": card.verbalizer, **data}
    return tasks.load(name, **data)


def _model_for(prompt: Prompt | None, model: str | FrozenModel | None) -> FrozenModel:
    if isinstance(model, FrozenModel):
        return model
    if model is None:
        if prompt is None:
            raise ConfigError("Without a prompt the model must be named: model=...")
        model = prompt.card.base.name
    return FrozenModel.load(model)


def _write_yaml(path: Path, config: TuneConfig) -> None:
    text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
    with files.whole_file(path) as temporary:
        temporary.write_text(text)
