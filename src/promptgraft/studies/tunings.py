"""Prompts and weights tuned on tasks, each measured once; what studies of tasks are made of."""

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from typing import Any

from promptgraft import api, files, metrics, tasks
from promptgraft.api import TuneConfig
from promptgraft.api.folder import rows_to_score
from promptgraft.library import Library
from promptgraft.models import FrozenModel
from promptgraft.studies.memo import Memo
from promptgraft.studies.setting import Setting
from promptgraft.studies.topics import by_topic
from promptgraft.tasks import Task
from promptgraft.training import read

Way = Mapping[str, Any]  # settings of `tune`: method, module, weights, length, ...

DEV_SHARE = 0.3  # of the training rows, in low-data settings (Prefix-Tuning, section 6.3)
KEPT = 8  # texts kept of each run
RATED = ("method", "module", "weights", "transfer", "pool")  # what a rate is chosen for


@dataclass(frozen=True)
class Data:
    """Which rows a run is given.

    few     training rows, of every label for classification; None: all
    sample  which of the samples of that size; validation rows are then few as well
    topics  a name in `topics.SPLITS`: training and test rows are about different things
    """

    task: str
    few: int | None = None
    sample: int = 0
    topics: str | None = None

    def load(self) -> Task:
        task = tasks.load(self.task)
        if self.topics is not None:
            task = by_topic(task, self.topics)
        if self.few is None:
            return task
        task = task.few_shot(self.few, self.sample)
        rows = len(task.rows("train"))
        return task.subset("validation", max(1, round(DEV_SHARE * rows)), self.sample)


@dataclass(frozen=True)
class Tuned:
    """What a run came to.

    scores  metric -> test score, those of a group as "group.metric"
    dev     what was validated by, more is better
    stored  numbers that are kept for the task
    share   of these in the model's parameters
    texts   the first answers
    """

    scores: Mapping[str, float]
    dev: float
    stored: int
    share: float
    texts: Sequence[str]


class Tunings:
    """Tunes prompts and baselines on one model after the other; what was measured is kept."""

    def __init__(self, setting: Setting, usual: Way) -> None:
        self.setting, self.usual = setting, usual
        self.memo = Memo(setting.folder / "measured.jsonl")
        self.library = Library(setting.folder / "library")
        self._models: dict[str, FrozenModel] = {}
        self._tasks: dict[Data, Task] = {}

    def model(self, name: str) -> FrozenModel:
        """A model of the study, loaded once."""
        if name not in self._models:
            self._models[name] = FrozenModel.load(name)
        return self._models[name]

    def task(self, data: Data) -> Task:
        """The rows, read once."""
        if data not in self._tasks:
            self._tasks[data] = data.load()
        return self._tasks[data]

    def tuned(self, model: str, data: Data, way: Way, seed: int = 0) -> Tuned:
        """Tune and score on the test split.

        way  its "lr" may be several rates: the one that is best on validation data is taken (see
             `rate`)
        """
        lr = way.get("lr")
        if isinstance(lr, tuple):
            lr = self.rate(model, replace(data, few=None, sample=0), way)
        return self._run(model, data, {**way, "lr": lr}, seed)

    def rate(self, model: str, data: Data, way: Way) -> float:
        """The best of a way's rates on validation data: one for each method, model and task, with
        all training rows, the usual length and the first seed."""
        plain = {name: way[name] for name in RATED if name in way}
        runs = {r: self._run(model, data, {**plain, "lr": r}, 0, test=False) for r in way["lr"]}
        return max(runs, key=lambda rate: runs[rate].dev)

    def _run(self, model: str, data: Data, way: Way, seed: int, test: bool = True) -> Tuned:
        chosen = {**self.usual, **way, "seed": seed}

        def measure() -> dict[str, Any]:
            self.setting.say(f"{data.task} on {model}: {_shown(way)}, seed {seed}, {_rows(data)}")
            return self._measured(model, data, chosen, test)

        found = self.memo([model, list(astuple(data)), chosen, test], measure)
        return Tuned(**found)

    def _measured(self, name: str, data: Data, chosen: Way, test: bool) -> dict[str, Any]:
        task, model = self.task(data), self.model(name)
        if not test:
            kept = {split: rows for split, rows in task.splits.items() if split != "test"}
            task = replace(task, splits=kept)
        folder = self.setting.folder / "run"
        config: TuneConfig = read(
            TuneConfig, None, {**chosen, "model": name, "task": data.task, "out": folder}
        )
        share: float
        if config.trains_weights:
            run = api.tune_weights(config, model=model, task=task)
            outcome, evaluation, share = run.outcome, run.evaluation, run.share
            stored = run.summary["trainable_parameters"]
        else:
            made = api.tune(config, library=self.library, model=model, task=task)
            outcome, evaluation = made.outcome, made.evaluation
            stored = sum(tensor.numel() for tensor in made.prompt.tensors().values())
            if made.adaptive is not None:  # what emits a prompt for each row is kept
                stored = made.summary["trainable_parameters"]
            share = stored / sum(weight.numel() for weight in model.model.parameters())
        files.remove_folder(folder)
        scores: dict[str, float] = {}
        if evaluation is not None:
            names = [n for n in task.report or task.metrics if not metrics.get(n).lack()]
            scores |= evaluation.scores
            scores |= metrics.score(names, evaluation.predictions, evaluation.references)
            if task.groups:
                groups = task.groups_of(rows_to_score(task, config))
                by_group = metrics.score_groups(
                    names, evaluation.predictions, evaluation.references, groups
                )
                scores |= {f"{g}.{n}": v for g, own in by_group.items() for n, v in own.items()}
        return {
            "scores": scores,
            "dev": outcome.best_score,
            "stored": stored,
            "share": share,
            "texts": evaluation.predictions[:KEPT] if evaluation else [],
        }


def _shown(way: Way) -> str:
    return ", ".join(str(value) for value in way.values() if value is not None)


def _rows(data: Data) -> str:
    return "all rows" if data.few is None else f"{data.few} rows, sample {data.sample}"
