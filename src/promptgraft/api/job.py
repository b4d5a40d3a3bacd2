"""A tuning run made ready: everything loaded, rendered and initialised, nothing trained."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch

from promptgraft import modules, prompts, tasks
from promptgraft.api.borrowing import probe, sources
from promptgraft.api.config import PLAIN, TuneConfig
from promptgraft.api.names import load_module, resolve
from promptgraft.api.teaching import taught
from promptgraft.errors import ConfigError
from promptgraft.library import Library
from promptgraft.models import Emitter, Encoded, FrozenModel
from promptgraft.modules import INITIALISERS, Initialiser, Kind, Layout, PromptModule, Start
from promptgraft.prompts import Parent, Prompt
from promptgraft.tasks import Task
from promptgraft.training import Objective, baselines, encode, evaluate, mean_loss
from promptgraft.training.baselines import Baseline
from promptgraft.transfer import across_tasks

Module = TypeVar("Module", PromptModule, Baseline)

ASKED = 100  # training rows that wordings are compared on, at most


@dataclass(frozen=True)
class Job(Generic[Module]):
    """A run, ready to start.

    model    the frozen model, or the copy of it whose weights are trained
    module   what is trained
    settled  settings that depended on what was found: the names in the pool, the length, the
             wording to start from
    """

    model: FrozenModel
    task: Task
    template: str
    module: Module
    encoded: Sequence[Encoded]
    objective: Objective
    validate: Callable[[], float] | None
    parents: tuple[Parent, ...]
    settled: dict[str, Any]


def prepare(
    config: TuneConfig,
    model: FrozenModel | None,
    task: Task | None,
    library: Library | None,
    dry: bool = False,
) -> Job[PromptModule]:
    """Load, render and initialise; raises everything that can be wrong with the settings.

    dry  tune nothing, not even what a method would tune to find its start
    """
    task, model, template = loaded(config, model, task)
    task, teachers = (task, ()) if dry else taught(task, config, library)
    if config.init == "wording":
        config, template = worded(config, model, task)
    running = model
    pool = sources(config, model, (task.name,), library)
    layout = layout_for(config, model, pool)
    initialiser, parents = initialiser_for(config, model, task, library)
    parents += teachers
    generator = torch.Generator().manual_seed(config.seed)

    def draw() -> Start:
        return initialiser(model, layout, generator)

    encoded = encode(model, task, task.rows("train"), layout.blank(), template)
    objective = learned = Objective(model, task, config.objective, template)
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        if config.method in PLAIN:
            more = {"hidden": config.hidden, "fit": config.fit} if config.module != "direct" else {}
            module = modules.build(config.module, layout, draw(), **more)
        else:
            given = across_tasks.Given(
                model,
                layout,
                across_tasks.pool_of(pool, layout),
                draw,
                (task.name,),
                encoded,
                None if dry else probe(config, layout, draw, encoded, objective),
            )
            method = across_tasks.build(config.method, given, config.transfer)
            if method.tuned is not None:
                running = _own_model(method.tuned, config)
                objective = Objective(running, task, config.objective, template)
            module, learned = method, method.objective(objective)
            parents += across_tasks.parents(pool, f"{config.method}-source")
    if config.init == "prompt" and config.init_prompt is not None and config.method in PLAIN:
        _take_up(module, config, load_module(config.init_prompt, library))
    validate = validation(config, running, task, module, objective, template)
    settled = {"pool": list(pool), "length": layout.length, "init_text": config.init_text}
    return Job(running, task, template, module, encoded, learned, validate, parents, settled)


def _own_model(tuned: Baseline, config: TuneConfig) -> FrozenModel:
    """The copy of the model that a method tunes with the prompt."""
    if config.tag is not None:
        raise ConfigError(
            f"tag={config.tag} names a prompt of the library, and one whose model is tuned with it "
            "stays in the run's folder, beside that model. Leave the tag out, or the model frozen: "
            "transfer.backbone=frozen"
        )
    return tuned.model


def prepare_weights(
    config: TuneConfig, model: FrozenModel | None, task: Task | None
) -> Job[Baseline]:
    """The same for a baseline: weights of a copy of the model, and no prompt."""
    task, model, template = loaded(config, model, task)
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        module = baselines.build(config.method, model, config.weights)
    encoded = encode(module.model, task, task.rows("train"), None, template)
    objective = Objective(module.model, task, config.objective, template)
    validate = validation(config, module.model, task, module, objective, template)
    return Job(module.model, task, template, module, encoded, objective, validate, (), {})


def loaded(
    config: TuneConfig, model: FrozenModel | None, task: Task | None
) -> tuple[Task, FrozenModel, str]:
    """The task with its few rows, the model, and the template: as passed, or by their names."""
    task = task or tasks.load(config.task, **config.data)
    if config.few_shot is not None:
        task = task.few_shot(config.few_shot, config.seed)
    model = model_for(config, model)
    model.checkpointing = config.checkpointing
    return task, model, config.template or task.template(model.family)


def model_for(config: TuneConfig, model: FrozenModel | None) -> FrozenModel:
    """The model as passed, or by its name. Raises ConfigError if its rows are not cut as asked."""
    longest = config.max_length
    if model is None:
        return FrozenModel.load(config.model, config.device, config.dtype, max_length=longest)
    if longest is not None and model.encoder.max_length > longest:
        raise ConfigError(
            f"max_length={longest}, but the model that was passed takes rows of "
            f"{model.encoder.max_length} tokens; load it with max_length={longest}."
        )
    return model


def layout_for(config: TuneConfig, model: FrozenModel, pool: dict[str, Prompt]) -> Layout:
    """The form of the prompt: as the method says, or as the pool's prompts have it."""
    if config.method in PLAIN:
        if pool:
            raise ConfigError(
                f"method={config.method} starts from no pool; choose one of "
                f"{', '.join(across_tasks.METHODS.names())}, or leave the pool out."
            )
        kind: Kind = "prefix" if config.method == "prefix" else "soft-prompt"
        return modules.layout(kind, config.length, model)
    if not pool:
        return modules.layout("soft-prompt", config.length, model)
    kind, length, sites = across_tasks.kind_of(pool)
    if "length" in config.model_fields_set:
        length = config.length
    return modules.layout(kind, length, model, sites or None)


def worded(config: TuneConfig, model: FrozenModel, task: Task) -> tuple[TuneConfig, str]:
    """The settings and the template with the words of init=wording as virtual tokens.

    Raises ConfigError without a wording, and for what has no virtual tokens in such places.
    """
    if config.method != "soft-prompt":
        raise ConfigError(
            f"init=wording is for soft prompts, whose virtual tokens stand in the places of words; "
            f"leave out method={config.method}."
        )
    if config.template is not None:
        raise ConfigError(
            "init=wording makes a template of the wording; leave template out, and give your own "
            "wording as init_text."
        )
    chosen = config.init_text or best_wording(model, task)
    found = modules.as_slots(model, chosen)
    settled = {"init_text": chosen, "length": len(found.tokens)}
    return config.model_copy(update=settled), found.template


def best_wording(model: FrozenModel, task: Task) -> str:
    """Of the task's worded templates the one with the least loss on (some) training rows."""
    wordings = task.manual.get(model.family, ())
    if not wordings:
        raise ConfigError(
            f"Task {task.name} has no wordings for {model.family} models; give one, such as "
            "init_text='{text} It was {mask} .'"
        )
    rows = task.subset("train", ASKED, seed=0).rows("train")
    answers = [task.answer(row) for row in rows]
    words = list(dict.fromkeys((task.verbalizer or {}).values()))

    def likelihood(wording: str) -> float:
        if not words:
            return model.log_likelihood(rows, answers, None, wording).mean().item()
        scores = model.choice_scores(rows, words, None, wording).log_softmax(1)
        asked = torch.tensor([words.index(answer) for answer in answers])
        return scores.gather(1, asked[:, None]).mean().item()

    return max(wordings, key=likelihood)


def initialiser_for(
    config: TuneConfig, model: FrozenModel, task: Task, library: Library | None
) -> tuple[Initialiser, tuple[Parent, ...]]:
    """What the prompt starts from, and the prompts that it then comes from.

    Raises ConfigError where init needs a text or a prompt that is not named.
    """
    make = INITIALISERS[config.init]
    if config.init == "wording":
        return make(modules.as_slots(model, config.init_text or "").tokens), ()
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


def module_settings(config: TuneConfig) -> dict[str, object]:
    """What a module that is kept must agree in to be taken up again."""
    return {"module": config.module, "hidden": config.hidden, "length": config.length}


def _take_up(module: PromptModule, config: TuneConfig, kept: prompts.ModuleState | None) -> None:
    """Go on with the module that was kept with the initial prompt, if it is one like this."""
    if kept is not None and kept.settings == module_settings(config):
        module.load_state_dict(kept.tensors)


def validation(
    config: TuneConfig,
    model: FrozenModel,
    task: Task,
    module: PromptModule | Baseline | Emitter,
    objective: Objective,
    template: str,
) -> Callable[[], float] | None:
    """The score that picks the best step: the task's first metric, for texts minus the loss."""
    if "validation" not in task.splits:
        return None
    rows = task.subset("validation", config.evaluate_rows, config.seed).rows("validation")
    if validated_by(task) == "loss":
        encoded = encode(model, task, rows, module, template)
        return lambda: -mean_loss(objective, module, encoded, config.batch_size)

    def score() -> float:
        with torch.no_grad():
            found = evaluate(model, task, rows, module, template, whole=False)
        return found.scores[task.metrics[0]]

    return score


def mean_validation(jobs: Sequence[Job[PromptModule]]) -> Callable[[], float] | None:
    """The mean of what the jobs of one module are validated by; None if none is."""
    checks = [job.validate for job in jobs if job.validate is not None]
    return (lambda: sum(check() for check in checks) / len(checks)) if checks else None


def validated_by(*given: Task) -> str:
    """What `validation` measures: the loss for texts and numbers, else the first metric; its mean
    over several tasks goes by the same name, if it is one."""
    measures = {
        "loss" if task.kind in ("generation", "regression") else task.metrics[0] for task in given
    }
    return measures.pop() if len(measures) == 1 else "mean over the tasks"
