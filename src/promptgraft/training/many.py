"""Tune many modules on one frozen model in shared passes, each as if it were tuned alone.

Small runs leave a machine idle between them. Here the rows of every run's batch go through the
model together, each row with the prompt of its own module; gradients, clipping and optimizer are
every module's own.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from promptgraft.errors import ConfigError, TrainingError
from promptgraft.models import Batch, Encoded, PromptTensors
from promptgraft.modules import PromptModule
from promptgraft.training.batches import Batches
from promptgraft.training.config import TrainingConfig
from promptgraft.training.loop import Outcome, Report, parameter_groups
from promptgraft.training.objective import Objective, averaged_over
from promptgraft.training.robust import Robust
from promptgraft.training.schedule import rate


@dataclass
class Run:
    """One of the runs: a module that adapts to no row, its training rows, and how it is judged.

    validate  the score of the module as it is now, larger is better; its best state is kept.
              None: the last state is kept
    """

    module: PromptModule
    encoded: Sequence[Encoded]
    validate: Callable[[], float] | None = None


def train_many(
    runs: Sequence[Run],
    objective: Objective,
    config: TrainingConfig,
    report: Callable[[Report], None] | None = None,
) -> list[Outcome]:
    """Tune the modules of all runs; the same settings, steps and seed for each.

    `config.accumulate` says in how many parts the runs are taken through the model. Every module
    comes to what `train` would have made of it without `patience`. Raises TrainingError if a loss
    is not finite, ConfigError for `patience`: the runs end together.
    """
    if config.patience is not None:
        raise ConfigError("Tunings in shared passes end together: leave patience out.")
    emit = _Emitter([run.module.to(objective.model.device) for run in runs])
    optimizer = torch.optim.AdamW(
        [group for run in runs for group in parameter_groups(run.module, config.lr)],
        weight_decay=config.weight_decay,
    )
    batches = [Batches([len(row) for row in r.encoded], config.batch_size, config.seed)
               for r in runs]  # fmt: skip
    robust = Robust(config, objective.model)
    best: list[_Best] = [_Best() for _ in runs]
    started = time.monotonic()
    for step in range(config.steps):
        factor = rate(step, config.steps, config.warmup, config.schedule)
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * factor
        rows = [
            [replace(run.encoded[i], task=number) for i in own[step]]
            for number, (run, own) in enumerate(zip(runs, batches, strict=True))
        ]
        total = 0.0
        for part in range(config.accumulate):
            together = [row for some in rows[part :: config.accumulate] for row in some]
            if together:
                loss = objective(robust.emitter(emit, step), together)
                loss.backward()  # type: ignore[no-untyped-call]
                total += loss.item()
        counts = [averaged_over(some, config.average) for some in rows]
        mean = total / sum(counts)
        if not mean < float("inf"):
            raise TrainingError(
                f"The loss is {mean} at step {step + 1}. Try a smaller lr (now {config.lr})."
            )
        for run, count in zip(runs, counts, strict=True):
            if config.hull:
                (robust.penalty(run.module) * count).backward()  # type: ignore[no-untyped-call]
            _own_gradient(run.module, count, config.clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if step + 1 == config.steps or (step + 1) % config.evaluate_every == 0:
            for run, kept in zip(runs, best, strict=True):
                kept.look(run, step + 1)
        if report is not None:
            left = (time.monotonic() - started) / (step + 1) * (config.steps - step - 1)
            report(Report(step + 1, config.steps, mean, None, left))
    seconds = time.monotonic() - started
    for run, kept in zip(runs, best, strict=True):
        if kept.state is not None:
            run.module.load_state_dict(kept.state)
    return [Outcome(config.steps, kept.step, kept.score, seconds) for kept in best]


@dataclass
class _Emitter:
    """Gives every row the prompt of its own run; each module is asked once a batch."""

    modules: Sequence[PromptModule]

    def __call__(self, batch: Batch | None = None) -> Sequence[PromptTensors]:
        tasks = batch.tasks if batch is not None else (0,)
        given = {task: self.modules[task]() for task in dict.fromkeys(tasks)}
        return [given[task] for task in tasks]


@dataclass
class _Best:
    """The best state that was seen of a run, or the last one if nothing judges it."""

    step: int = 0
    score: float | None = None
    state: dict[str, Tensor] | None = None

    def look(self, run: Run, step: int) -> None:
        if run.validate is None:
            self.step = step
            return
        score = run.validate()
        if self.score is None or score > self.score:
            self.step, self.score = step, score
            self.state = {k: v.detach().clone() for k, v in run.module.state_dict().items()}


def _own_gradient(module: PromptModule, count: int, clip: float) -> None:
    """From the gradient of a sum over labels or rows to that of their mean, clipped."""
    parameters = [p for p in module.parameters() if p.grad is not None]
    for parameter in parameters:
        assert parameter.grad is not None
        parameter.grad /= count
    torch.nn.utils.clip_grad_norm_(parameters, clip)
