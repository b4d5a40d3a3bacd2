"""Figures 2 to 11 of CrossPT, drawn from the same runs as its tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from promptgraft.analysis import borrowing
from promptgraft.analysis.borrowing import Borrowing
from promptgraft.studies import crosspt, drawing
from promptgraft.studies.crosspt import CONFIGURATIONS, SHARING, CrossPT
from promptgraft.studies.intervals import Mean, mean

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIZES = (8, 16, 32)
SOURCES = (1, 2, 3, 5, 8)
RATES = (0.05, 0.1, 0.2, 0.4)
MIXED = ("SIL", "SLN", "SIP", "SILP", "SLPN")  # of figure 7
FEW_SOURCES = ("SLP", "SL2")  # of figure 9


def figure_2(study: CrossPT) -> Figure:
    """Mean over each group's tasks by configuration, 32 rows."""
    return _bars(
        {group: [mean(study.scores(tasks, name, 32)) for name in CONFIGURATIONS]
         for group, tasks in crosspt.GROUPS.items()},
        CONFIGURATIONS, "mean score",
    )  # fmt: skip


def figure_3(study: CrossPT) -> Figure:
    """QQP and MRPC tuned together, by configuration."""
    pair = ("qqp", "mrpc")
    found = [study.scores(pair, name, 32) for name in CONFIGURATIONS]
    means = {task: [mean([own[at]]) for own in found] for at, task in enumerate(pair)}
    return _bars(means | {"both": [mean(own) for own in found]}, CONFIGURATIONS, "accuracy")


def figure_4(study: CrossPT) -> Figure:
    """Mean over GLUE's tasks by number of rows; without intervals, nine of which hide the lines."""
    figure, (place,) = drawing.empty("rows of each task", "mean score")
    for name in CONFIGURATIONS:
        found = [mean(study.glue(name, few)).value for few in SIZES]
        place.plot(SIZES, found, marker="o", markersize=4, label=name)
    place.set_xticks(SIZES)
    place.legend(frameon=False, fontsize=6, ncols=3)
    return figure


def figure_5(study: CrossPT) -> Figure:
    """With and without the tasks' names before their rows."""
    return _switched(study, {"named": {}, "not named": {"task_prefix": False}})


def figure_6(study: CrossPT) -> Figure:
    """The tasks' own label words, numbers, and words of no meaning."""
    kinds = ("natural", "numeric", "synthetic")
    return _switched(study, {kind: {"labels": kind} for kind in kinds})


def _switched(study: CrossPT, ways: dict[str, dict[str, object]]) -> Figure:
    found = {
        label: [mean(study.glue(name, 16, **settings)) for name in CONFIGURATIONS]
        for label, settings in ways.items()
    }
    return _bars(found, CONFIGURATIONS, "mean score")


def _bars(found: dict[str, list[Mean]], across: Sequence[str], up: str) -> Figure:
    """Groups of bars, one for each entry of `found`, over names."""
    figure, (place,) = drawing.empty("", up, size=(6, 3.4))
    width = 0.8 / len(found)
    for number, (label, means) in enumerate(found.items()):
        drawing.bars(place, [at + width * number for at in range(len(across))], means, label, width)
    place.set_xticks([at + 0.4 - width / 2 for at in range(len(across))], across)
    place.legend(frameon=False)
    return figure


def figure_7(study: CrossPT) -> Figure:
    """Weights in the mixtures and cosines with what is mixed, 32 rows, first seed."""
    return borrowing.drawn(_first(study, MIXED), between=False)


def figure_8(study: CrossPT) -> Figure:
    """Weighted similarity to the source prompts (Eq. 3), 32 rows; P and PI have no sources."""
    found = [mean(study.reliance(name, 32)) for name in SHARING]
    return _bars({"32 rows": found}, SHARING, "per cent")


def figure_9(study: CrossPT) -> Figure:
    """As figure 7 for one and two shared prompts, with the targets' token-level cosines (Eq. 4)."""
    return borrowing.drawn(_first(study, FEW_SOURCES), between=True)


def _first(study: CrossPT, names: Sequence[str]) -> dict[str, Borrowing]:
    """Of each configuration the first seed's run on GLUE."""
    found = {name: study.runs(crosspt.GROUPS["glue"], name, 32)[0].borrowed for name in names}
    return {name: own for name, own in found.items() if own is not None}


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
