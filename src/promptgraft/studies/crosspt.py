"""The tables of CrossPT: nine ways of sharing prompts between tasks with few rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from promptgraft.studies.claims import Claim
from promptgraft.studies.intervals import Mean, difference, mean
from promptgraft.studies.setting import Setting
from promptgraft.studies.tables import Table, of_figures
from promptgraft.studies.tunings import Data, Joint, Tunings, Way
from promptgraft.tasks import Task
from promptgraft.tasks.wording import with_words
from promptgraft.transfer.across_tasks import METHODS

GROUPS = {
    "glue": ("cola", "mnli", "mrpc", "qnli", "qqp", "rte", "sst2", "stsb"),
    "others": ("imdb", "mrpc", "mnli", "paws", "scitail", "stsb2", "yelp_polarity"),
}
CONFIGURATIONS = ("P", "PI", "SL", "SLN", "SLP", "SLPN", "SIL", "SIP", "SILP")
SHARING = CONFIGURATIONS[2:]  # those with source prompts
BESIDE = (None, 16, 32)  # rows of a task, in the comparison with other methods
LENGTH, BATCH, EPOCHS, LONGER = 10, 16, 20, 30  # section 3.2; longer without source prompts
MINIATURE: Way = {"test_rows": 100, "evaluate_rows": 100, "samples": 0}
PAPER: Way = {"test_rows": 300, "evaluate_rows": 300, "samples": 0}
SOURCE = {"steps": 300, "batch_size": 32, "length": LENGTH}
SOURCE_PAPER = {"steps": 3000, "batch_size": 16, "length": LENGTH}
# Of table 2, from the other tasks' prompts or rows. T5 has no biases for BitFit.
OTHERS: Mapping[str, Way] = {
    "FineTuning": {"method": "fine-tuning"},
    "Fine-tuning(m)": {"method": "fine-tuning", "multitask": []},
    "Adapter(m)": {"method": "adapter", "multitask": []},
    "SPoT": {"method": "spot"},
    "ATTEMPT": {"method": "attempt"},
    "MPT": {"method": "mpt"},
    "DEPT": {"method": "dept"},
}
TOGETHER: Mapping[str, Way] = {  # several tasks, from the source prompts of all
    "ATTEMPT(m)": {"method": "attempt"},
    "MPT(m)": {"method": "mpt"},
}
NLI = {"entailment": "entailment", "not_entailment": "not_entailment"}
WORDS = {  # T5's own label words, which the paper's tasks have
    "cola": {"0": "unacceptable", "1": "acceptable"},
    "mnli": {name: name for name in ("contradiction", "entailment", "neutral")},
    "mrpc": {"0": "not_equivalent", "1": "equivalent"},
    "paws": {"0": "not_equivalent", "1": "equivalent"},
    "qnli": NLI,
    "qqp": {"0": "not_duplicate", "1": "duplicate"},
    "rte": NLI,
    "scitail": NLI,
}


class CrossPT(Tunings):
    """Joint tunings of a group's tasks on one model."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting, PAPER if setting.full else MINIATURE)
        self.name = setting.models[0]

    def runs(
        self,
        tasks: Sequence[str],
        configuration: str,
        few: int | None,
        transfer: Way | None = None,
        **settings: object,
    ) -> list[Joint]:
        """By seed."""
        way: Way = {
            "method": "crosspt",
            "pool": self.pool(tasks) if "I" in configuration else [],
            "transfer": {"configuration": configuration, **(transfer or {})},
            **settings,
        }
        return self.together(tasks, few, way)

    def together(self, tasks: Sequence[str], few: int | None, way: Way) -> list[Joint]:
        """By seed: tasks tuned together, their names before their rows."""
        way = {**self._pace(few, len(tasks), way), "task_prefix": True, **way}
        return self.jointly(self.name, tasks, way, few)

    def alone(self, task: str, few: int | None, way: Way) -> list[float]:
        """A task's metric for each seed, tuned by itself on the rows that it has beside others."""
        way = {**self._pace(few, 1, way), **way}
        given = [(self.about(task, few, seed), seed) for seed in range(self.setting.seeds)]
        return [next(iter(run.scores.values())) for run in self.each(self.name, given, way)]

    def pool(self, tasks: Sequence[str]) -> list[str]:
        """Names of the tasks' source prompts, tuned on all their rows."""
        return self.sources(self.name, tasks, self.source_way)

    def task(self, data: Data) -> Task:
        """The rows; on the paper's scale with the paper's label words and inputs."""
        task = super().task(data)
        return as_in_the_paper(task) if self.setting.full else task

    def scores(
        self, tasks: Sequence[str], configuration: str, few: int | None, **settings: Any
    ) -> list[list[float]]:
        """By task, its metric for each seed."""
        runs = self.runs(tasks, configuration, few, **settings)
        return [[run.scores[task] for run in runs] for task in tasks]

    def reliance(self, configuration: str, few: int) -> list[list[float]]:
        """By task of the first group for each seed: Eq. 3 in per cent."""
        runs = self.runs(GROUPS["glue"], configuration, few)
        found = [run.borrowed.reliance().tolist() for run in runs if run.borrowed]
        return [[100 * value for value in values] for values in zip(*found, strict=True)]

    def glue(self, configuration: str, few: int | None, **settings: Any) -> list[list[float]]:
        """`scores` of the first group."""
        return self.scores(GROUPS["glue"], configuration, few, **settings)

    def _pace(self, few: int | None, tasks: int, way: Way) -> Way:
        """Length, steps and the like."""
        if few is None:
            steps = self.steps_for(tasks)
            every = steps // 6
        else:
            rows = few * tasks
            steps = (EPOCHS if way.get("pool") else LONGER) * rows // BATCH
            every = (2 if self.setting.full else 5) * rows // BATCH
        return {
            "length": LENGTH,
            "batch_size": BATCH,
            "steps": max(1, steps),
            "evaluate_every": max(1, every),
            "warmup": 0.2,
        }

    def steps_for(self, tasks: int) -> int:
        """With all rows each task has those of a source prompt; at miniature scale all together."""
        steps: int = self.source_way["steps"]
        return tasks * steps if self.setting.full else steps

    @property
    def source_way(self) -> Way:
        """How source prompts are tuned."""
        return SOURCE_PAPER if self.setting.full else SOURCE


def as_in_the_paper(task: Task) -> Task:
    """A task's label words as T5 knows them, and `sentence1: ... sentence2: ...` as its input."""
    task = with_words(task, WORDS[task.name]) if task.name in WORDS else task
    heads = ["sentence"] if len(task.inputs) == 1 else ["sentence1", "sentence2"]
    parts = [f"{head}: {{{name}}}" for head, name in zip(heads, task.inputs, strict=True)]
    return replace(task, templates={"seq2seq": " ".join(["{prompt}", *parts])})


def published() -> dict[str, Table]:
    """The paper's figures by group and number of rows: appendix A, and tables 2 and 3."""
    paper = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text())
    return {
        name: of_figures(f"paper-{name}", f"The paper, {name.replace('-', ', ')} rows", figures)
        for name, figures in paper.items()
    }


def methods(study: CrossPT, group: str, few: int) -> list[Table]:
    """Figure 2 and appendix A: the nine configurations, best first."""
    tasks = GROUPS[group]
    runs = {name: study.runs(tasks, name, few) for name in CONFIGURATIONS}
    extra = [key for key in runs["P"][0].scores if key not in tasks]  # CoLA's accuracy

    def over(name: str, columns: Sequence[str]) -> Mean:
        return mean([[run.scores[column] for run in runs[name]] for column in columns])

    rows = [
        [name, str(over(name, tasks)), str(over(name, [t for t in tasks if t != "cola"]))]
        + [f"{over(name, [column]).value:.1f}" for column in (*tasks, *extra)]
        for name in sorted(runs, key=lambda name: -over(name, tasks).value)
    ]
    name = f"{group}-{few}"
    heads = ["configuration", "mean", "without CoLA", *tasks, *extra]
    table = Table(f"methods-{name}", f"{group}, {few} rows, {study.name}", heads, rows)
    return [table, published()[name]]


def others(study: CrossPT) -> list[Table]:
    """Tables 2 and 3: other methods on GLUE's tasks, with all rows and with few."""
    found: list[Table] = []
    for few in BESIDE:
        name, rows = str(few or "all"), []
        for method, scores in compared(study, few).items():
            each = [f"{mean([own]).value:.1f}" for own in scores]
            rows.append([method, *each, str(mean(scores))])
        heads = ["method", *GROUPS["glue"], "mean"]
        title = f"Beside other methods, {name} rows, {study.name}"
        found += [
            Table(f"others-methods-{name}", title, heads, rows),
            published()[f"beside-{name}"],
        ]
    return found


def compared(study: CrossPT, few: int | None) -> dict[str, list[list[float]]]:
    """By method as the paper names it: GLUE's metrics for each seed."""
    tasks = GROUPS["glue"]
    few_rows = few is not None
    named: Sequence[str] = ("MPT", "DEPT") if few_rows else tuple(OTHERS)
    jointly: Mapping[str, Way] = {} if few_rows else TOGETHER
    ours = {"PT": "P", "SLPN": "SLPN"} if few_rows else {"SLP10": "SLP10"}

    def from_others(task: str, way: Way) -> Way:
        others = [other for other in tasks if other != task]
        if way["method"] in METHODS.items:
            return {**way, "pool": study.pool(others)}
        if "multitask" in way:
            return {**way, "multitask": others, "multitask_steps": study.steps_for(len(others))}
        return way

    found = {
        name: [study.alone(task, few, from_others(task, OTHERS[name])) for task in tasks]
        for name in named
    }
    for name, way in jointly.items():
        runs = study.together(tasks, few, {**way, "pool": study.pool(tasks)})
        found[name] = [[run.scores[task] for run in runs] for task in tasks]
    return found | {name: study.glue(configuration, few) for name, configuration in ours.items()}


def reliance(study: CrossPT) -> list[Table]:
    """Weighted similarity to the source prompts (Eq. 3), GLUE, 32 rows: what figure 8 draws."""
    tasks = GROUPS["glue"]
    rows = []
    for name in SHARING:
        found = study.reliance(name, 32)
        rows.append([name, str(mean(found)), *(f"{mean([own]).value:.1f}" for own in found)])
    title = f"Weighted similarity to source prompts (Eq. 3), per cent, {study.name}"
    return [Table("reliance", title, ["configuration", "mean", *tasks], rows)]


def claims(study: CrossPT) -> list[Claim]:
    """The paper's claims at miniature scale: paired by task, seeds within."""

    def over(one: str, other: str, few: int) -> Mean:
        return difference(study.glue(one, few), study.glue(other, few))

    def switched(name: str, **settings: object) -> Mean:
        return difference(study.glue(name, 16), study.glue(name, 16, **settings))

    without_cola = [
        [
            own
            for task, own in zip(GROUPS["glue"], study.glue(name, 32), strict=True)
            if task != "cola"
        ]
        for name in ("SLPN", "P")
    ]
    return [
        Claim("SLPN beats private prompts alone, 32 rows", over("SLPN", "P", 32)),
        Claim("the same without CoLA", difference(*without_cola)),
        Claim("SILP beats private prompts from the sources, 32 rows", over("SILP", "PI", 32)),
        Claim("a private prompt helps one shared prompt, 32 rows", over("SLP", "SL", 32)),
        Claim("starting from source prompts helps at 8 rows", over("SILP", "SLPN", 8)),
        Claim("starting from scratch is better at 32 rows", over("SLPN", "SILP", 32)),
        Claim("names before the rows help one shared prompt", switched("SL", task_prefix=False)),
        Claim("natural labels beat numbers", switched("SLPN", labels="numeric")),
        Claim("natural labels beat words of no meaning", switched("SLPN", labels="synthetic")),
        Claim("two shared prompts beat one", over("SL2", "SL1", 16)),
        Claim("SIP relies on its sources less than SIL (Eq. 3), 32 rows",
              difference(study.reliance("SIL", 32), study.reliance("SIP", 32))),
    ]  # fmt: skip
