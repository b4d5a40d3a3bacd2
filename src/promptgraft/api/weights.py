"""Tune a baseline: weights of a model in place of a prompt, for comparison."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from promptgraft import files
from promptgraft.api.config import TuneConfig
from promptgraft.api.folder import begin, rows_to_score, summary_of, write_results
from promptgraft.api.job import prepare_weights, validated_by
from promptgraft.api.multitask import begin_with_others
from promptgraft.api.samples import with_samples
from promptgraft.models import FrozenModel
from promptgraft.tasks import Task
from promptgraft.training import Evaluation, Outcome, Report, evaluate, processes, train


@dataclass(frozen=True)
class Weights:
    """What a baseline gives: how good it is and where it lies.

    share  trained parameters / the model's parameters
    """

    outcome: Outcome
    evaluation: Evaluation | None
    share: float
    folder: Path
    summary: dict[str, Any]


def tune_weights(
    config: TuneConfig,
    *,
    model: FrozenModel | None = None,
    task: Task | None = None,
    resume: bool = False,
    report: Callable[[Report], None] | None = None,
) -> Weights:
    """Train the baseline that `config.method` names, as `tune` tunes a prompt.

    It is scored on the test split. Its weights go to weights.safetensors in the run's folder, by
    their names in the model; the library keeps prompts alone. Raises as `tune` does.
    """
    job = prepare_weights(config, model, task)
    folder = config.folder()
    begin(folder, config, resume)
    if not resume:
        begin_with_others(job, config, report)
    settings = config.training()
    validate = with_samples(job, config)
    outcome = train(
        job.module,
        job.encoded,
        job.objective,
        settings,
        folder,
        validate,
        resume,
        report,
        validated_by(job.task),
    )
    share = job.module.share()
    if not processes.first():
        return Weights(outcome, None, share, folder, {})
    test = rows_to_score(job.task, config)
    evaluation = None
    if test:
        evaluation = evaluate(job.model, job.task, test, None, job.template, **config.decoding)
    with files.whole_file(folder / "weights.safetensors") as temporary:
        save_file({n: t.contiguous() for n, t in job.module.tensors().items()}, temporary)
    summary = summary_of(job, outcome, evaluation, test) | {"share": share}
    write_results(folder, summary)
    return Weights(outcome, evaluation, share, folder, summary)
