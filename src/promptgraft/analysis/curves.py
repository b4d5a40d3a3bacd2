"""The curves of a run: training loss and validation score over the steps."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from promptgraft.errors import BadFileError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Line = Mapping[str, Any]

SMOOTHING = 0.9  # weight of the past in the running mean of the loss
LOSS, SCORE = "#d9822b", "#2b7bb9"


def read(file: Path) -> list[dict[str, Any]]:
    """The lines of a run's metrics.jsonl. Raises BadFileError if one is not JSON."""
    lines = []
    for number, text in enumerate(file.read_text("utf-8").splitlines(), 1):
        try:
            lines.append(json.loads(text))
        except ValueError:
            raise BadFileError(f"{file}, line {number}: not JSON.") from None
    return lines


def thinned(lines: Sequence[Line], most: int = 60) -> tuple[float, ...]:
    """The training losses as a card keeps them: means of at most 60 equal stretches."""
    losses = [float(line["loss"]) for line in lines]
    count = min(most, len(losses))
    ends = [len(losses) * number // max(count, 1) for number in range(count + 1)]
    return tuple(sum(losses[a:b]) / (b - a) for a, b in pairwise(ends))


def draw(lines: Sequence[Line], score: str, text: str = "black") -> Figure:
    """Loss of each step with its running mean; beside it the validation scores, best one marked.

    score  what validation measures: a metric in per cent, or "loss", kept as its negative in lines
    text   colour of everything but the curves
    """
    from matplotlib.figure import Figure

    scored = [line for line in lines if "validation" in line]
    figure = Figure(figsize=(8 if scored else 4.4, 3), layout="constrained")
    places = figure.subplots(1, 2 if scored else 1, squeeze=False)[0]
    steps = [line["step"] for line in lines]
    losses = [line["loss"] for line in lines]
    places[0].plot(steps, losses, color=LOSS, alpha=0.3, linewidth=0.8)
    places[0].plot(steps, running_mean(losses), color=LOSS, linewidth=1.8)
    places[0].set_title("training loss, nats", loc="left", fontsize=10, color=text)
    if scored:
        at = [line["step"] for line in scored]
        sign, unit = (-1, "nats") if score == "loss" else (1, "per cent")
        best = max(range(len(scored)), key=lambda number: scored[number]["validation"])
        values = [sign * line["validation"] for line in scored]
        places[1].plot(at, values, color=SCORE, linewidth=1.8, marker="o", markersize=3)
        places[1].plot(at[best], values[best], color=SCORE, marker="o", markersize=7)
        places[1].annotate(
            f"{values[best]:.4g}",
            (at[best], values[best]),
            (6, -12),
            textcoords="offset points",
            color=text,
        )
        places[1].set_title(f"validation {score}, {unit}", loc="left", fontsize=10, color=text)
    for place in places:
        _by_steps(place, text)
        place.tick_params(colors=text)
        place.spines[["top", "right"]].set_visible(False)
        place.spines[["bottom", "left"]].set_color(text)
        place.grid(color=text, alpha=0.15)
    return figure


def compare(runs: Mapping[str, Sequence[Line]], score: str) -> Figure:
    """The validation scores of several runs over their steps, in one picture, `score` as above;
    their training losses where one was not validated twice."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3), layout="constrained")
    place = figure.subplots()
    scored = {
        name: [line for line in lines if "validation" in line] for name, lines in runs.items()
    }
    curved = all(len(lines) > 1 for lines in scored.values())
    sign, unit = (-1, "nats") if score == "loss" else (1, "per cent")
    for name, lines in (scored if curved else runs).items():
        steps = [line["step"] for line in lines]
        if curved:
            values = [sign * line["validation"] for line in lines]
            place.plot(steps, values, marker="o", markersize=3, label=name)
        else:
            place.plot(steps, running_mean([line["loss"] for line in lines]), label=name)
    title = f"validation {score}, {unit}" if curved else "training loss, nats"
    place.set_title(title, loc="left", fontsize=10)
    _by_steps(place)
    place.spines[["top", "right"]].set_visible(False)
    place.grid(alpha=0.15)
    place.legend(frameon=False)
    return figure


def _by_steps(place: Axes, text: str = "black") -> None:
    """Steps below a picture, never a fraction of one."""
    from matplotlib.ticker import MaxNLocator

    place.set_xlabel("step", color=text)
    place.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def running_mean(values: Sequence[float]) -> list[float]:
    """Exponential mean with weight SMOOTHING on the past, unbiased at the start."""
    means, total, weight = [], 0.0, 0.0
    for value in values:
        total = SMOOTHING * total + (1 - SMOOTHING) * value
        weight = SMOOTHING * weight + (1 - SMOOTHING)
        means.append(total / weight)
    return means
