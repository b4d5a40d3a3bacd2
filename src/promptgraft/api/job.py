"""A tuning run made ready: everything loaded, rendered and initialised, nothing trained."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from promptgraft import modules, prompts, tasks
from promptgraft.api.config import TuneConfig
from promptgraft.api.names import load_module, resolve
from promptgraft.errors import ConfigError
from promptgraft.library import Library
from promptgraft.models import Encoded, FrozenModel
from promptgraft.modules import INITIALISERS, Initialiser, PromptModule
from promptgraft.prompts import Parent
from promptgraft.tasks import Task
from promptgraft.training import Objective, encode, evaluate, mean_loss


@dataclass(frozen=True)
class Job:
    """A run, ready to start."""

    model: FrozenModel
    task: Task
    template: str
    module: PromptModule
    encoded: Sequence[Encoded]
    objective: Objective
    validate: Callable[[], float] | None
    parents: tuple[Parent, ...]


def prepare(
    config: TuneConfig, model: FrozenModel | None, task: Task | None, library: Library | None
) -> Job:
    """Load, render and initialise; raises everything that can be wrong with the settings."""
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
    if config.init == "prompt" and config.init_prompt is not None:
        _take_up(module, config, load_module(config.init_prompt, library))
    emitted = {name: tensor.detach() for name, tensor in module().items()}
    encoded = encode(model, task, task.rows("train"), emitted, template)
    objective = Objective(model, task, config.objective, template)
    validate = _validation(config, model, task, module, objective, template)
    return Job(model, task, template, module, encoded, objective, validate, parents)


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


def module_settings(config: TuneConfig) -> dict[str, object]:
    """What a module that is kept must agree in to be taken up again."""
    return {"module": config.module, "hidden": config.hidden, "length": config.length}


def _take_up(module: PromptModule, config: TuneConfig, kept: prompts.ModuleState | None) -> None:
    """Go on with the module that was kept with the initial prompt, if it is one like this."""
    if kept is not None and kept.settings == module_settings(config):
        module.load_state_dict(kept.tensors)


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
    if validated_by(task) == "loss":
        emitted = {name: tensor.detach() for name, tensor in module().items()}
        encoded = encode(model, task, rows, emitted, template)
        return lambda: -mean_loss(objective, module, encoded, config.batch_size)

    def score() -> float:
        with torch.no_grad():
            found = evaluate(model, task, rows, module(), template, intervals=False)
        return found.scores[task.metrics[0]]

    return score


def validated_by(task: Task) -> str:
    """What `_validation` measures: the loss for texts and numbers, else the first metric."""
    return "loss" if task.kind in ("generation", "regression") else task.metrics[0]
