"""The tables and figures of CrossPT: nine ways of sharing prompts between tasks with few rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from promptgraft.studies import drawing
from promptgraft.studies.claims import Claim
from promptgraft.studies.intervals import Mean, difference, mean
from promptgraft.studies.setting import Setting
from promptgraft.studies.tables import Table, of_figures
from promptgraft.studies.tunings import Tunings, Way

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GROUPS = {
    "glue": ("cola", "mnli", "mrpc", "qnli", "qqp", "rte", "sst2", "stsb"),
    "others": ("imdb", "mrpc", "mnli", "paws", "scitail", "yelp_polarity"),  # STSB2 is not at hand
}
CONFIGURATIONS = ("P", "PI", "SL", "SLN", "SLP", "SLPN", "SIL", "SIP", "SILP")
SIZES = (8, 16, 32)
LENGTH, BATCH, EPOCHS, LONGER = 10, 16, 20, 30  # section 3.2; longer without source prompts
MINIATURE: Way = {"test_rows": 100, "evaluate_rows": 100, "samples": 0}
PAPER: Way = {"test_rows": 300, "evaluate_rows": 300, "samples": 0}
SOURCE = {"steps": 300, "batch_size": 32, "length": LENGTH}
SOURCE_PAPER = {"steps": 3000, "batch_size": 16, "length": LENGTH}
SOURCES = (1, 2, 3, 5, 8)
RATES = (0.05, 0.1, 0.2, 0.4)


class CrossPT(Tunings):
    """Joint tunings of a group's tasks on one model."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting, PAPER if setting.full else MINIATURE)
        self.name = setting.models[0]

    def runs(
        self,
        tasks: Sequence[str],
        configuration: str,
        few: int,
        transfer: Way | None = None,
        **settings: object,
    ) -> list[dict[str, float]]:
        """By seed: the tasks' metrics, and accuracy where that is another one."""
        starts = "I" in configuration
        pool = [self.source(self.name, task, self._source_way) for task in tasks] if starts else []
        rows = few * len(tasks)
        way: Way = {
            "method": "crosspt",
            "length": LENGTH,
            "batch_size": BATCH,
            "steps": max(1, (EPOCHS if starts else LONGER) * rows // BATCH),
            "evaluate_every": max(1, 2 * rows // BATCH),
            "warmup": 0.2,
            "task_prefix": True,
            "pool": pool,
            "transfer": {"configuration": configuration, **(transfer or {})},
            **settings,
        }
        seeds = range(self.setting.seeds)
        return [self.jointly(self.name, tasks, way, few, seed) for seed in seeds]

    def scores(
        self, tasks: Sequence[str], configuration: str, few: int, **settings: Any
    ) -> list[list[float]]:
        """By task, its metric for each seed."""
        runs = self.runs(tasks, configuration, few, **settings)
        return [[run[task] for run in runs] for task in tasks]

    def glue(self, configuration: str, few: int, **settings: Any) -> list[list[float]]:
        """`scores` of the first group."""
        return self.scores(GROUPS["glue"], configuration, few, **settings)

    @property
    def _source_way(self) -> Way:
        return SOURCE_PAPER if self.setting.full else SOURCE


def published() -> dict[str, Table]:
    """The paper's figures by group and number of rows."""
    paper = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text())
    return {
        name: of_figures(f"paper-{name}", f"The paper, {name.replace('-', ', ')} rows", figures)
        for name, figures in paper.items()
    }


def methods(study: CrossPT, group: str, few: int) -> list[Table]:
    """Figure 2 and appendix A: the nine configurations, best first."""
    tasks = GROUPS[group]
    runs = {name: study.runs(tasks, name, few) for name in CONFIGURATIONS}
    extra = [key for key in runs["P"][0] if key not in tasks]  # CoLA's accuracy

    def over(name: str, columns: Sequence[str]) -> Mean:
        return mean([[run[column] for run in runs[name]] for column in columns])

    rows = [
        [name, str(over(name, tasks)), str(over(name, [t for t in tasks if t != "cola"]))]
        + [f"{over(name, [column]).value:.1f}" for column in (*tasks, *extra)]
        for name in sorted(runs, key=lambda name: -over(name, tasks).value)
    ]
    name = f"{group}-{few}"
    heads = ["configuration", "mean", "without CoLA", *tasks, *extra]
    table = Table(f"methods-{name}", f"{group}, {few} rows, {study.name}", heads, rows)
    return [table, published()[name]]


def tables(study: CrossPT) -> list[Table]:
    """Both groups at 32 rows, the first at 16."""
    return [
        *methods(study, "glue", 16),
        *methods(study, "glue", 32),
        *methods(study, "others", 32),
    ]


def figure_3(study: CrossPT) -> Figure:
    """QQP and MRPC tuned together, by configuration."""
    pair = ("qqp", "mrpc")
    found = {name: study.scores(pair, name, 32) for name in CONFIGURATIONS}
    figure, (place,) = drawing.empty("", "accuracy", size=(6, 3.4))
    for shift, task in enumerate(pair):
        at = [number + 0.4 * shift for number in range(len(found))]
        drawing.bars(place, at, [mean([own[shift]]) for own in found.values()], task)
    place.set_xticks([number + 0.2 for number in range(len(found))], list(found))
    place.legend(frameon=False)
    return figure


def figure_4(study: CrossPT) -> Figure:
    """Mean over GLUE's tasks by number of rows."""
    figure, (place,) = drawing.empty("rows of each task", "mean score")
    for name in CONFIGURATIONS:
        found = [mean(study.glue(name, few)) for few in SIZES]
        drawing.curve(place, SIZES, found, name)
    place.legend(frameon=False, fontsize=6)
    return figure


def figure_5(study: CrossPT) -> Figure:
    """With and without the tasks' names before their rows."""
    return _switched(study, {"named": {}, "not named": {"task_prefix": False}})


def figure_6(study: CrossPT) -> Figure:
    """The tasks' own label words, numbers, and words of no meaning."""
    kinds = ("natural", "numeric", "synthetic")
    return _switched(study, {kind: {"labels": kind} for kind in kinds})


def _switched(study: CrossPT, ways: dict[str, dict[str, object]]) -> Figure:
    figure, (place,) = drawing.empty("", "mean score", size=(6, 3.4))
    width = 0.8 / len(ways)
    for number, (label, settings) in enumerate(ways.items()):
        found = [mean(study.glue(name, 16, **settings)) for name in CONFIGURATIONS]
        at = [place_of + width * number for place_of in range(len(found))]
        drawing.bars(place, at, found, label, width)
    place.set_xticks([n + 0.4 - width / 2 for n in range(len(CONFIGURATIONS))], CONFIGURATIONS)
    place.legend(frameon=False)
    return figure


def figure_10(study: CrossPT) -> Figure:
    """Mean over GLUE's tasks by number of shared prompts, with and without private ones."""
    figure, (place,) = drawing.empty("source prompts", "mean score")
    for name in ("SL", "SLP"):
        found = [mean(study.glue(f"{name}{count}", 16)) for count in SOURCES]
        drawing.curve(place, SOURCES, found, name)
    place.legend(frameon=False)
    return figure


def figure_11(study: CrossPT) -> Figure:
    """SLP by the rates of its shared and its private prompts."""
    figure, (place,) = drawing.empty("learning rate of the private prompts", "mean score")
    for shared in RATES:
        own = {"lr_sources": shared}
        found = [mean(study.glue("SLP", 16, transfer=own, lr=rate)) for rate in RATES]
        drawing.curve(place, RATES, found, f"sources {shared}")
    place.set_xscale("log", base=2)
    place.legend(frameon=False)
    return figure


def claims(study: CrossPT) -> list[Claim]:
    """The paper's claims at miniature scale: paired by task, seeds within."""

    def over(one: str, other: str, few: int) -> Mean:
        return difference(study.glue(one, few), study.glue(other, few))

    def switched(name: str, **settings: object) -> Mean:
        return difference(study.glue(name, 16), study.glue(name, 16, **settings))

    others = [task for task in GROUPS["glue"] if task != "cola"]
    without_cola = [
        [[run[task] for run in study.runs(GROUPS["glue"], name, 32)] for task in others]
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
    ]  # fmt: skip
