"""Prompts and weights tuned on tasks, each measured once; what studies of tasks are made of."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from promptgraft import api, files, metrics, prompts, tasks
from promptgraft.analysis.borrowing import Borrowing
from promptgraft.api import JointConfig, TuneConfig
from promptgraft.api.folder import rows_to_score
from promptgraft.api.names import name_for
from promptgraft.library import Library
from promptgraft.models import FrozenModel
from promptgraft.prompts import Ensemble, Prompt
from promptgraft.studies.memo import Measurement, Memo
from promptgraft.studies.setting import Setting
from promptgraft.studies.topics import by_topic
from promptgraft.tasks import Split, Task
from promptgraft.tasks.sampling import divide
from promptgraft.training import Evaluation, evaluate, read, score

Way = Mapping[str, Any]  # settings of `tune`: method, module, weights, length, ...

DEV_SHARE = 0.3  # of the training rows, in low-data settings (Prefix-Tuning, section 6.3)
KEPT = 8  # texts kept of each run
# What a rate is chosen for.
RATED = ("method", "module", "weights", "transfer", "pool", "max_length")


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
        task = _with_test_rows(tasks.load(self.task))
        if self.topics is not None:
            task = by_topic(task, self.topics)
        if self.few is None:
            return task
        task = task.few_shot(self.few, self.sample)
        rows = len(task.rows("train"))
        return task.subset("validation", max(1, round(DEV_SHARE * rows)), self.sample)


def _with_test_rows(task: Task) -> Task:
    """The task, half of its validation rows for testing where those of test have no labels."""
    if "test" in task.splits:
        return task
    halves = divide(task.rows("validation"), task.inputs, {"test": 50})
    validation, test = Split.of(halves["train"]), Split.of(halves["test"])
    return replace(task, splits={**task.splits, "validation": validation, "test": test})


@dataclass(frozen=True)
class Tuned:
    """What a run came to.

    scores  metric -> test score, those of a group as "group.metric"
    dev     what was validated by, more is better; None where nothing was tuned
    stored  numbers that are kept for the task
    share   of these in the model's parameters
    texts   the first answers
    """

    scores: Mapping[str, float]
    dev: float | None
    stored: int
    share: float
    texts: Sequence[str]


@dataclass(frozen=True)
class Joint:
    """What a run of several tasks came to.

    scores    by task its first metric, and "TASK accuracy" beside another one (CoLA)
    borrowed  what their prompts are mixed from; None where the method has no weights
    """

    scores: Mapping[str, float]
    borrowed: Borrowing | None


class Tunings:
    """Tunes prompts and baselines on one model after the other; what was measured is kept."""

    def __init__(self, setting: Setting, usual: Way) -> None:
        self.setting, self.usual = setting, usual
        self.memo = Memo(setting.folder / "measured.jsonl")
        self.library = Library(setting.folder / "library")
        self._scratch = TemporaryDirectory()  # not in the folder, which several processes may share
        self._models: dict[tuple[str, int | None], FrozenModel] = {}
        self._tasks: dict[Data, Task] = {}

    def model(self, name: str, way: Way | None = None) -> FrozenModel:
        """A model of the study, loaded once for each `max_length` of ways."""
        max_length = (way or {}).get("max_length")
        if (name, max_length) not in self._models:
            self._models[name, max_length] = FrozenModel.load(name, max_length=max_length)
        return self._models[name, max_length]

    def task(self, data: Data) -> Task:
        """The rows, read once."""
        if data not in self._tasks:
            self._tasks[data] = data.load()
        return self._tasks[data]

    def each(self, model: str, runs: Sequence[tuple[Data, int]], way: Way) -> list[Tuned]:
        """Tune on each data with its seed and score on the test split; processes of one study
        share the runs out.

        way  its "lr" may be several rates: the one that is best on validation data is taken (see
             `rate`)
        """
        lr = way.get("lr")
        several = isinstance(lr, tuple)
        rates = {
            task: self.rate(model, Data(task), way) if several else lr
            for task in dict.fromkeys(data.task for data, _ in runs)
        }
        return self._runs(
            [self._run(model, data, {**way, "lr": rates[data.task]}, seed) for data, seed in runs]
        )

    def sampled(
        self, model: str, task: str, size: int, way: Way, samples: int, seeds: int
    ) -> list[list[Tuned]]:
        """By sample of so many rows, then by seed."""
        drawn = [Data(task, size, sample) for sample in range(samples)]
        found = self.each(model, [(data, seed) for data in drawn for seed in range(seeds)], way)
        return [found[n : n + seeds] for n in range(0, len(found), seeds)]

    def rate(self, model: str, data: Data, way: Way) -> float:
        """The best of a way's rates on validation data: one for each method, model and task, with
        all training rows, the usual length and the first seed."""
        plain = {name: way[name] for name in RATED if name in way}
        rates: tuple[float, ...] = way["lr"]
        runs = self._runs(
            [self._run(model, data, {**plain, "lr": rate}, 0, test=False) for rate in rates]
        )
        found = {r: run.dev for r, run in zip(rates, runs, strict=True) if run.dev is not None}
        return max(found, key=lambda rate: found[rate])

    def about(self, task: str, few: int | None, sample: int = 0) -> Data:
        """Some `few` rows of a task, equally many of its labels; None: all."""
        if few is None:
            return Data(task)
        labels = len(self.task(Data(task)).verbalizer or "-")
        return Data(task, max(1, few // labels), sample)

    def jointly(self, model: str, names: Sequence[str], way: Way, few: int | None) -> list[Joint]:
        """Tune several tasks together from about `few` rows of each (None: all), for each seed."""

        def run(seed: int) -> Measurement:
            chosen = {**self.usual, **way, "seed": seed}

            def measure() -> dict[str, Any]:
                rows = "all rows" if few is None else f"{few} rows of each"
                shown = f"{len(names)} tasks on {model}: {_shown(way)}, seed {seed}, {rows}"
                self.setting.say(shown)
                return self._measured_jointly(model, names, chosen, few)

            return [model, list(names), few, chosen], measure

        found = self.memo.all([run(seed) for seed in range(self.setting.seeds)])
        return [
            Joint(one["scores"], one["borrowed"] and Borrowing.from_numbers(one["borrowed"]))
            for one in found
        ]

    def _measured_jointly(
        self, name: str, names: Sequence[str], chosen: Way, few: int | None
    ) -> dict[str, Any]:
        given = [self.task(self.about(task, few, chosen["seed"])) for task in names]
        config: JointConfig = read(JointConfig, None, self._own(chosen, name, "+".join(names)))
        model = self.model(name, chosen)
        run = api.tune_jointly(config, library=self.library, model=model, given=given)
        files.remove_folder(config.folder())
        scores: dict[str, float] = {}
        for task, evaluation in run.evaluations.items():
            metric, *_ = evaluation.scores
            scores[task] = evaluation.scores[metric]
            if metric != "accuracy" and "accuracy" in evaluation.scores:
                scores[f"{task} accuracy"] = evaluation.scores["accuracy"]
        return {"scores": scores, "borrowed": run.borrowed and run.borrowed.numbers()}

    def sources(self, model: str, names: Sequence[str], way: Way) -> list[str]:
        """The names in the study's library of prompts that were tuned on all rows of some tasks;
        first those that no other process is tuning."""
        found: dict[str, str] = {}
        for wait in (False, True):
            for task in names:
                with self.memo.alone(["source", model, task], wait) as own:
                    if own:
                        found[task] = self._source(model, task, way)
        return [found[task] for task in names]

    def _source(self, model: str, task: str, way: Way) -> str:
        chosen = {**self.usual, **way}
        settings = self._own(chosen, model, task) | {"tag": "source"}
        config: TuneConfig = read(TuneConfig, None, settings)
        known = self.model(model, chosen), self.task(Data(task))
        return kept(self.library, config, self.setting.say, *known)

    def _own(self, chosen: Way, model: str, task: str) -> dict[str, Any]:
        """The settings of a run, of which nothing but what was measured stays."""
        out = Path(self._scratch.name) / "run"
        return {**chosen, "model": model, "task": task, "out": out, "tag": "run"}

    def mean_of(self, model: str, data: Data, names: Sequence[str]) -> Tuned:
        """The mean of some prompts of the library, as it is, on the test split."""

        def measure() -> dict[str, Any]:
            self.setting.say(f"{data.task} on {model}: the mean of {len(names)} source prompts")
            given: list[Any] = [self.library.get(name) for name in names]  # of one kind
            prompt: Prompt = prompts.mix(given, [1 / len(given)] * len(given))
            task, frozen = self.task(data), self.model(model, self.usual)
            config: TuneConfig = read(TuneConfig, None, self._own(self.usual, model, data.task))
            found = evaluate(frozen, task, rows_to_score(task, config), prompt,
                             task.template(frozen.family), **config.decoding)  # fmt: skip
            return {
                "scores": _scores(task, found, config),
                "dev": None,
                **_size(prompt, frozen),
                "texts": found.predictions[:KEPT],
            }

        return Tuned(**self.memo([model, list(astuple(data)), "mean", list(names)], measure))

    def _run(self, model: str, data: Data, way: Way, seed: int, test: bool = True) -> Measurement:
        chosen = {**self.usual, **way, "seed": seed}

        def measure() -> dict[str, Any]:
            self.setting.say(f"{data.task} on {model}: {_shown(way)}, seed {seed}, {_rows(data)}")
            return self._measured(model, data, chosen, test)

        return [model, list(astuple(data)), chosen, test], measure

    def _runs(self, wanted: Sequence[Measurement]) -> list[Tuned]:
        return [Tuned(**found) for found in self.memo.all(wanted)]

    def _measured(self, name: str, data: Data, chosen: Way, test: bool) -> dict[str, Any]:
        task, model = self.task(data), self.model(name, chosen)
        if not test:
            kept = {split: rows for split, rows in task.splits.items() if split != "test"}
            task = replace(task, splits=kept)
        config: TuneConfig = read(TuneConfig, None, self._own(chosen, name, data.task))
        if config.trains_weights:
            run = api.tune_weights(config, model=model, task=task)
            outcome, evaluation = run.outcome, run.evaluation
            size = {"stored": run.summary["trainable_parameters"], "share": run.share}
        else:
            made = api.tune(config, library=self.library, model=model, task=task)
            outcome, evaluation = made.outcome, made.evaluation
            size = _size(made.prompt, model)
            if isinstance(made.adaptive, Ensemble):
                size = _size(made.adaptive, model)
            elif made.adaptive is not None:  # what emits a prompt for each row is kept
                trained = made.summary["trainable_parameters"]
                size = {"stored": trained, "share": trained / _parameters(model)}
        files.remove_folder(config.folder())
        return {
            "scores": _scores(task, evaluation, config) if evaluation else {},
            "dev": outcome.best_score,
            **size,
            "texts": evaluation.predictions[:KEPT] if evaluation else [],
        }


def kept(
    library: Library,
    config: TuneConfig,
    say: Callable[[str], None],
    model: FrozenModel,
    task: Task | None = None,
) -> str:
    """The name of a prompt in a study's library, tuned now if it is not there."""
    name = name_for(config.task, config.model, config.tag)
    if name not in library:
        say(f"tuning {name}")
        api.tune(config, library=library, model=model, task=task)
        files.remove_folder(config.folder())
    return name


def _size(prompt: Prompt | Ensemble, model: FrozenModel) -> dict[str, float]:
    stored = sum(tensor.numel() for tensor in prompt.tensors().values())
    return {"stored": stored, "share": stored / _parameters(model)}


def _parameters(model: FrozenModel) -> int:
    return sum(weight.numel() for weight in model.model.parameters())


def _scores(task: Task, found: Evaluation, config: TuneConfig) -> dict[str, float]:
    """The task's metrics, those that the field reports for it, and those of its groups."""
    learned = [name for name in task.report if metrics.get(name).learned]
    more = score(task, rows_to_score(task, config), found.predictions, (), learned)
    groups = {
        f"{group}.{name}": value
        for one in (found, more) for group, own in one.groups.items() for name, value in own.items()
    }  # fmt: skip
    return found.scores | more.scores | groups


def _shown(way: Way) -> str:
    """The method and what it is told, for the line that says what is being measured."""
    hidden = {"pool", "evaluate_every", "warmup", "batch_size"}
    return ", ".join(f"{key}={value}" for key, value in way.items() if key not in hidden)


def _rows(data: Data) -> str:
    return "all rows" if data.few is None else f"{data.few} rows, sample {data.sample}"
