"""Figures 3 to 7 of Prefix-Tuning, drawn from the same runs as its tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from promptgraft.studies import drawing
from promptgraft.studies.intervals import mean
from promptgraft.studies.prefix_tuning import (
    LENGTHS,
    SIZES,
    STARTS,
    SUMMARIES,
    TABLES,
    PrefixTuning,
    measurable,
    values,
)
from promptgraft.studies.tunings import Data

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def figure_3(study: PrefixTuning) -> Figure:
    """Low data, tables to text: prefix and fine-tuning by number of rows (figure 6 too)."""
    return _low_data(study, study.writer, "e2e", measurable(TABLES))


def figure_3_summaries(study: PrefixTuning) -> Figure:
    """The same for summaries."""
    return _low_data(study, study.summariser, "xsum", SUMMARIES)


def _low_data(study: PrefixTuning, model: str, task: str, metrics: Mapping[str, str]) -> Figure:
    figure, places = drawing.empty("training rows", *metrics)
    for name, way in (
        ("prefix", study.prefix_for(task)),
        ("fine-tuning", study.way("fine-tuning")),
    ):
        by_size = [study.few(model, task, size, way) for size in SIZES]
        for place, metric in zip(places, metrics.values(), strict=True):
            found = [mean([values(runs, metric) for runs in samples]) for samples in by_size]
            drawing.curve(place, SIZES, found, name)
    places[0].legend(frameon=False)
    return figure


def figure_4(study: PrefixTuning) -> Figure:
    """Length of the prefix, tables to text."""
    chosen = measurable(TABLES)
    figure, places = drawing.empty("virtual tokens", *chosen)
    runs = [study.runs(study.writer, Data("e2e"), study.prefix(length=n)) for n in LENGTHS]
    for place, metric in zip(places, chosen.values(), strict=True):
        drawing.curve(place, LENGTHS, [mean([[v] for v in values(r, metric)]) for r in runs], "")
    return figure


def figure_5(study: PrefixTuning) -> Figure:
    """What the prefix starts from, 100 rows (figure 7 too)."""
    chosen = measurable(TABLES)
    figure, places = drawing.empty("", *chosen)
    starts = [study.few(study.writer, "e2e", 100, study.start(word)) for word in STARTS]
    for place, metric in zip(places, chosen.values(), strict=True):
        found = [mean([values(runs, metric) for runs in samples]) for samples in starts]
        drawing.bars(place, range(len(STARTS)), found, "")
    for place in places:
        place.set_xticks(range(len(STARTS)), list(STARTS), fontsize=6)
    return figure
