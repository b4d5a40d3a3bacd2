"""Sixteen or thirty-two labelled examples: what to tune with them.

All methods have the same rows and no others, so none is stopped early. Rates are chosen for all
tasks together, on samples that are not reported and by training rows outside them; scores are of
test rows. The pool of a task has no prompt of its own. (Nor of mr, which shares sentences with the
test rows of sst2.)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from promptgraft import tasks
from promptgraft.studies.intervals import difference, mean
from promptgraft.studies.setting import Setting
from promptgraft.studies.tables import Table
from promptgraft.studies.tunings import Data, Tunings, Way
from promptgraft.tasks import Task
from promptgraft.tasks.task import Split
from promptgraft.transfer.across_tasks import METHODS

TARGETS = (
    "sst2", "sst5", "agnews", "dbpedia14", "subj", "cola", "mrpc", "qqp", "qnli", "snli", "mnli",
    "scitail",
)  # fmt: skip
SOURCES = ("imdb", "yelp_polarity", "subj", "dbpedia14", "snli", "qqp")
SIZES = (16, 32)
LENGTH = 10
USUAL: Way = {
    "steps": 100, "batch_size": 16, "warmup": 0.1, "length": LENGTH, "test_rows": 300, "samples": 0,
}  # fmt: skip
SOURCE: Way = {"steps": 300, "batch_size": 32, "length": LENGTH}
SCRATCH = "prompt tuning"
WAYS: Mapping[str, Way] = {
    SCRATCH: {"method": "soft-prompt", "lr": (0.01, 0.03, 0.1)},
    "prefix-tuning": {"method": "prefix", "lr": (0.01, 0.03, 0.1)},
    "prefix through an MLP": {"method": "prefix", "module": "mlp", "objective": "choices"},
    "LoRA": {"method": "lora", "lr": (3e-4, 1e-3, 3e-3)},
    "fine-tuning": {"method": "fine-tuning", "lr": (3e-5, 1e-4, 3e-4)},
    "best-source": {
        "method": "spot",
        "transfer": {"variant": "fitting"},
        "lr": (0.003, 0.01, 0.03),
    },
    "similar-source": {"method": "spot", "transfer": {"variant": "targeted"}},
    "mean": {"method": "spot", "transfer": {"variant": "generic"}},
    "mixture": {"method": "crosspt", "transfer": {"configuration": "SILP", "encoder": "none"}},
    "fixed-mixture": {"method": "crosspt", "transfer": {"configuration": "SIP", "encoder": "none"}},
    "one-for-each-input": {"method": "attempt", "transfer": {}},
    "wording": {
        "method": "soft-prompt",
        "init": "wording",
        "lr": (0.001, 0.003, 0.01),
        "pool": [],
        "objective": "choices",
    },
    "auto": {"method": "auto"},
}
BORROWING = [
    *(name for name, way in WAYS.items() if way["method"] in METHODS.names()), "auto",
]  # fmt: skip
TRIALS = (100, 101)  # samples that rates are chosen on


@dataclass(frozen=True)
class Few(Data):
    """A sample of training rows without validation rows.

    trial  scored are training rows outside the sample, not test rows
    """

    trial: bool = False

    def load(self) -> Task:
        whole = tasks.load(self.task)
        sample = whole.few_shot(self.few or 1, self.sample).rows("train")
        if self.trial:
            drawn = whole.subset("train", len(sample) + USUAL["test_rows"], self.sample)
            scored = [row for row in drawn.rows("train") if row not in sample]
        else:  # where test rows have no labels, those of validation stand in for them
            scored = whole.rows("test" if "test" in whole.splits else "validation")
        return replace(whole, splits={"train": Split.of(sample), "test": Split.of(scored)})


class FewExamples(Tunings):
    """Every method on every task, from the same samples of its training rows."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting, USUAL)
        self.name = setting.models[0]

    def scores(
        self, method: str, rows: int, samples: Sequence[int], rate: float | None, trial: bool
    ) -> list[list[float]]:
        """By task, its first metric for each sample."""
        found = []
        for task in TARGETS:
            way = {**WAYS[method], "lr": rate}
            if method in BORROWING:
                others = [source for source in SOURCES if source != task]
                way["pool"] = self.sources(self.name, others, SOURCE)
            few = self.about(task, rows).few
            given = [(Few(task, few, sample, trial=trial), sample) for sample in samples]
            runs = self.each(self.name, given, way)
            found.append([next(iter(run.scores.values())) for run in runs])
        return found

    def trials(self, method: str) -> dict[float, list[list[float]]]:
        """Scores by rate, of the samples that rates are chosen on."""
        rates: Sequence[float] = WAYS[method]["lr"]
        return {rate: self.scores(method, SIZES[-1], TRIALS, rate, True) for rate in rates}

    def tested(self, method: str, rows: int) -> list[list[float]]:
        """By task for each sample, at the rate that did best in the trials."""
        rate = None
        if "lr" in WAYS[method]:
            found = self.trials(method)
            rate = max(found, key=lambda one: mean(found[one]).value)
        return self.scores(method, rows, range(self.setting.seeds), rate, False)


def rates(study: FewExamples) -> list[Table]:
    """What the rates were chosen by."""
    rows = [
        [method, f"{rate:g}", str(mean(scores))]
        for method in WAYS if "lr" in WAYS[method]
        for rate, scores in study.trials(method).items()
    ]  # fmt: skip
    title = f"Learning rates, {SIZES[-1]} rows, scored on other training rows"
    return [Table("rates", title, ["method", "rate", "mean over tasks"], rows)]


def compared(study: FewExamples, rows: int) -> list[Table]:
    """Methods on test rows, best first; and auto against plain prompt tuning task by task."""
    found = {method: study.tested(method, rows) for method in WAYS}
    scratch = found[SCRATCH]
    lines = [
        [method, str(mean(own)), str(difference(own, scratch)),
         str(difference(found["auto"], own)),
         *(f"{mean([task]).value:.1f}" for task in own)]
        for method, own in sorted(found.items(), key=lambda item: -mean(item[1]).value)
    ]  # fmt: skip
    heads = ["method", "mean", f"minus {SCRATCH}", "auto minus it", *TARGETS]
    title = f"{rows} rows, {study.name}: test scores, intervals over tasks"
    guarded = [
        [task, *(str(mean([[value] for value in one])) for one in (own, plain)),
         str(difference([[value] for value in own], [[value] for value in plain]))]
        for task, own, plain in zip(TARGETS, found["auto"], scratch, strict=True)
    ]  # fmt: skip
    return [
        Table(f"methods-{rows}", title, heads, lines),
        Table(f"auto-{rows}", f"auto, {rows} rows, task by task: intervals over samples",
              ["task", "auto", SCRATCH, "difference"], guarded),
    ]  # fmt: skip
