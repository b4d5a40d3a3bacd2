"""What a tuning run comes to: its prompt, its card, its scores."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import promptgraft
from promptgraft import prompts
from promptgraft.analysis.borrowing import Borrowing
from promptgraft.api.config import TuneConfig
from promptgraft.api.job import Job, validated_by
from promptgraft.api.names import library_name
from promptgraft.errors import PromptgraftError
from promptgraft.library import Library
from promptgraft.modules import PromptModule
from promptgraft.prompts import Ensemble, ModuleState, Prompt, PromptCard
from promptgraft.tasks import Task
from promptgraft.training import Evaluation, Outcome
from promptgraft.transfer.across_tasks import AdaptivePrompt, Transfer, frozen


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


def frozen_as(module: PromptModule, card: PromptCard, task: int = 0) -> Prompt | AdaptivePrompt:
    """The module as a value; of a joint run for one of its tasks."""
    return frozen(module, card, task) if isinstance(module, Transfer) else module.freeze(card)


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


def keep(
    store: Library, prompt: Prompt, tag: str | None, folder: Path, state: ModuleState | None = None
) -> str:
    """Put a run's prompt into the library in place of the one of its name; returns the name.

    If that fails, the error says that nothing is lost.
    """
    try:
        return store.add(prompt, library_name(prompt.card, tag), state, replace=True)
    except PromptgraftError as error:
        raise type(error)(f"{error}\nThe prompt and its results are in {folder}.") from error
