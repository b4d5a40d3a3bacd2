"""The training loop. It is handed a module and never asks which."""

import json
import math
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from promptgraft import files
from promptgraft.errors import ConfigError, StoppedError, TrainingError
from promptgraft.models import Emitter, Encoded
from promptgraft.training import checkpoint, processes
from promptgraft.training.batches import Batches, alike
from promptgraft.training.checkpoint import Progress
from promptgraft.training.config import TrainingConfig
from promptgraft.training.objective import Objective, averaged_over
from promptgraft.training.robust import Robust
from promptgraft.training.schedule import rate

SMOOTHED = 20  # steps over which the loss is averaged when looking for divergence
RUNAWAY = 3.0  # times the first loss at which a run is given up


@dataclass(frozen=True)
class Report:
    """What a progress line shows, after every step.

    score    of the last validation
    measure  what it measures, both as `train` is told them
    """

    step: int
    steps: int
    loss: float
    score: float | None
    seconds_left: float
    measure: str = "score"


@dataclass(frozen=True)
class Outcome:
    """How a run ended; the module holds its best state."""

    steps: int
    best_step: int
    best_score: float | None
    seconds: float


def train(
    module: nn.Module,
    encoded: Sequence[Encoded],
    objective: Objective,
    config: TrainingConfig,
    folder: Path,
    validate: Callable[[], float] | None = None,
    resume: bool = False,
    report: Callable[[Report], None] | None = None,
    measure: str = "score",
) -> Outcome:
    """Tune a module's parameters; the frozen model inside `objective` has none.

    encoded   all training rows, with labels
    folder    for metrics.jsonl and checkpoint/
    validate  the score of the module as it is now, larger is better; its best state is kept.
              None: the last state is kept
    resume    go on from the checkpoint in `folder`, to the same result as without the stop
    measure   what `validate` gives, as reports and metrics.jsonl name it; "loss" where the score
              is minus the loss

    The loss of a step is the mean over all labels of its batch, or over its rows (`average`),
    however it is divided over parts and processes. Raises TrainingError if the loss is not finite
    or runs away, StoppedError after Ctrl-C, with a checkpoint saved.
    """
    accelerator = Accelerator(cpu=objective.model.device.type == "cpu")
    optimizer = torch.optim.AdamW(
        parameter_groups(module, config.lr), weight_decay=config.weight_decay
    )
    progress, best = Progress(), _copy(module)
    module.to(objective.model.device)
    if resume:
        progress, best = checkpoint.load(folder / "checkpoint", module, optimizer)
    batches = Batches([len(row) for row in encoded], config.batch_size, config.seed)
    robust = Robust(config, objective.model)
    recent: deque[float] = deque(maxlen=SMOOTHED)
    started, began_at = time.monotonic(), progress.step
    score: float | None = None

    def save() -> None:
        if accelerator.is_main_process:
            checkpoint.save(folder / "checkpoint", progress, module, optimizer, best)

    with ExitStack() as stack:
        log = stack.enter_context(_log(folder, progress.step, config, accelerator.is_main_process))
        stopping = stack.enter_context(_stop_signal())
        while progress.step < config.steps:
            factor = rate(progress.step, config.steps, config.warmup, config.schedule)
            for group in optimizer.param_groups:
                group["lr"] = group["peak"] * factor
            rows = [encoded[number] for number in batches[progress.step]]
            emit = robust.emitter(module, progress.step)
            loss, norm = _step(
                accelerator, module, emit, optimizer, objective, rows, config, robust.penalty
            )
            progress.step += 1
            recent.append(loss)
            _check_loss(progress, loss, recent, config)
            line: dict[str, Any] = {"step": progress.step, "loss": loss, "lr": config.lr * factor}
            line["gradient_norm"] = norm
            last = progress.step == config.steps
            if validate is not None and (last or progress.step % config.evaluate_every == 0):
                score = processes.from_first(accelerator, validate)
                line |= {"validation": score, "measure": measure}
                if progress.best_score is None or score > progress.best_score:
                    progress.best_score, progress.best_step = score, progress.step
                    progress.waited, best = 0, _copy(module)
                else:
                    progress.waited += 1
            seconds = time.monotonic() - started
            log({**line, "seconds": round(seconds, 3)})
            if report is not None and accelerator.is_main_process:
                left = seconds / (progress.step - began_at) * (config.steps - progress.step)
                report(Report(progress.step, config.steps, loss, score, left, measure))
            if processes.any_of(accelerator, stopping()):
                save()
                raise StoppedError(
                    f"Stopped at step {progress.step} of {config.steps}. "
                    f"Go on with: promptgraft tune --resume {folder}"
                )
            if config.patience is not None and progress.waited >= config.patience:
                break
            if not last and progress.step % config.checkpoint_every == 0:
                save()
    if validate is not None:
        module.load_state_dict(best)
    best_step = progress.best_step if validate is not None else progress.step
    return Outcome(progress.step, best_step, progress.best_score, time.monotonic() - started)


def parameter_groups(module: nn.Module, lr: float) -> list[dict[str, Any]]:
    """The parameters by learning rate: a module may name others than the run's in `rates`."""
    own: Mapping[str, float] = getattr(module, "rates", {})
    by_rate: dict[float, list[nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            rate_of = next((r for start, r in own.items() if name.startswith(start)), lr)
            by_rate.setdefault(rate_of, []).append(parameter)
    if not by_rate:
        raise ConfigError("Nothing would be trained: the module has no parameters.")
    return [{"params": some, "lr": peak, "peak": peak} for peak, some in by_rate.items()]


def _step(
    accelerator: Accelerator,
    module: nn.Module,
    emit: Emitter,
    optimizer: torch.optim.Optimizer,
    objective: Objective,
    rows: Sequence[Encoded],
    config: TrainingConfig,
    penalty: Callable[[Emitter], Tensor],
) -> tuple[float, float]:
    """One optimizer step; returns the mean loss (see `average`) and the gradient's norm.

    emit     what gives the rows their prompts: the module, perhaps with noise
    penalty  of the module, added to the mean loss; the loss that is returned is without it
    """
    mine = rows[accelerator.process_index :: accelerator.num_processes]
    parts = [
        part for start in range(config.accumulate) if (part := mine[start :: config.accumulate])
    ]
    if accelerator.device.type == "cpu":  # elsewhere padding costs less than another pass
        parts = [[part[n] for n in own] for part in parts for own in alike([*map(len, part)])]
    count = averaged_over(rows, config.average)
    total = torch.zeros((), device=accelerator.device)
    for part in parts:
        loss = objective(emit, part) / count
        whole = loss + penalty(module).to(loss.device) * len(part) / len(rows)
        accelerator.backward(whole)
        total += loss.detach()
    processes.add_gradients(accelerator, module)
    norm = accelerator.clip_grad_norm_(module.parameters(), config.clip)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    summed: Tensor = accelerator.reduce(total, "sum")
    return summed.item(), float(norm) if norm is not None else math.nan


def _check_loss(
    progress: Progress, loss: float, recent: Sequence[float], config: TrainingConfig
) -> None:
    advice = (
        f"Try a smaller lr (now {config.lr}), a longer warmup (now {config.warmup}), "
        "another initialiser, or dtype=float32."
    )
    if not math.isfinite(loss):
        raise TrainingError(f"The loss is {loss} at step {progress.step}. {advice}")
    if len(recent) < SMOOTHED:
        return
    mean = sum(recent) / len(recent)
    if progress.first_loss is None:
        progress.first_loss = mean
    elif mean > RUNAWAY * progress.first_loss + 1:
        raise TrainingError(
            f"The loss runs away: {mean:.2f} over the last {SMOOTHED} steps before step "
            f"{progress.step}, {progress.first_loss:.2f} at the start. {advice}"
        )


@contextmanager
def _log(
    folder: Path, step: int, config: TrainingConfig, main: bool
) -> Iterator[Callable[[dict[str, Any]], None]]:
    """A function that appends a line to metrics.jsonl, and to TensorBoard if asked."""
    if not main:
        yield lambda line: None
        return
    path = folder / "metrics.jsonl"
    kept = list(checkpoint.kept_lines(path, step)) if step else []
    with files.whole_file(path) as temporary:
        temporary.write_text("".join(f"{line}\n" for line in kept))
    board = None
    if config.tensorboard:
        from torch.utils.tensorboard import SummaryWriter

        board = SummaryWriter(folder / "tensorboard", purge_step=step)
    try:
        with path.open("a", buffering=1) as stream:

            def write(line: dict[str, Any]) -> None:
                stream.write(json.dumps(line) + "\n")
                if board is not None:
                    for name in line.keys() - {"step", "measure"}:
                        board.add_scalar(name, line[name], line["step"])

            yield write
    finally:
        if board is not None:
            board.close()


@contextmanager
def _stop_signal() -> Iterator[Callable[[], bool]]:
    """Turn the first Ctrl-C into a question that the loop asks between steps."""
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    asked = False

    def ask(_signal: int, _frame: Any) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGINT, before)


def _copy(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}
