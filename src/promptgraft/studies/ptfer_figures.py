"""Figures 2 to 4 of the paper, drawn from the same measurements as its tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING

from promptgraft.studies import drawing
from promptgraft.studies.intervals import mean
from promptgraft.studies.moves import Moves
from promptgraft.studies.ptfer import (
    ANCHORS,
    LENGTHS,
    SEARCH_STEPS,
    accuracies,
    by_relation,
    pairs,
)
from promptgraft.transfer.across_models import Method, Relative, shared_anchors
from promptgraft.transfer.across_models.recipes import PAPER

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def figure_2(moves: Moves) -> Figure:
    """Accuracy against matching loss along the search, one curve for each pair of models."""
    figure, (place,) = drawing.empty("matching loss", "accuracy, per cent", size=(6, 4))
    for source in moves.names:
        for target in moves.names:
            found = [
                moves.moved([source], target, _searched(steps), seed=0) for steps in SEARCH_STEPS
            ]
            losses = [fmean(one.loss.values()) for one in found]
            place.plot(
                losses,
                [fmean(one.accuracy.values()) for one in found],
                marker="o",
                markersize=3,
                linestyle="--" if source == target else "-",
                label=f"{source} to {target}",
            )
    place.invert_xaxis()  # towards the end of the search, as in the paper
    place.legend(frameon=False, fontsize=6, handlelength=3)
    return figure


def _searched(steps: int) -> Method:
    return Relative(solver="adam", top_k=PAPER.top_k, steps=steps)


def figure_3(moves: Moves) -> Figure:
    """With and without Eq. 6, for each pair of models."""
    figure, (place,) = drawing.empty("", "accuracy, per cent", size=(6, 4))
    chosen = pairs(moves)
    for number, (name, method) in enumerate(
        {"normalised": PAPER, "as found": PAPER.model_copy(update={"normalise": False})}.items()
    ):
        found = [mean(by_relation(accuracies(moves, [s], t, method))) for s, t in chosen]
        at = [place_of + 0.4 * number for place_of in range(len(chosen))]
        drawing.bars(place, at, found, name)
    names = [f"{source}\nto {target}" for source, target in chosen]
    place.set_xticks([number + 0.2 for number in range(len(chosen))], names, fontsize=6)
    place.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
    return figure


def figure_4(moves: Moves) -> Figure:
    """Accuracy by the number of anchors, and by the length of the prompt."""
    label = "accuracy, per cent"
    figure, (left, right) = drawing.empty("virtual tokens", label, label)
    left.set_xlabel("anchors, the most frequent ones")
    for source, target in pairs(moves):
        shared = len(shared_anchors([moves.model(source), moves.model(target)]))
        counts = [*(count for count in ANCHORS if count < shared), shared]
        methods = [Relative(anchors=count) for count in counts]
        by_count = [_mean(accuracies(moves, [source], target, method)) for method in methods]
        left.plot(counts, by_count, marker="o", markersize=3)
        by_length = [
            _mean(accuracies(moves, [source], target, PAPER, length=length)) for length in LENGTHS
        ]
        right.plot(LENGTHS, by_length, marker="o", markersize=3, label=f"{source} to {target}")
    left.set_xscale("log", base=2)
    right.legend(frameon=False, fontsize=6)
    return figure


def _mean(measured: Sequence[Mapping[str, float]]) -> float:
    return fmean(value for one in measured for value in one.values())
