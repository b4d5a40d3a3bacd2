"""Plain axes for the studies' figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from promptgraft.studies.intervals import Mean


def empty(
    across: str, *up: str, size: tuple[float, float] | None = None
) -> tuple[Figure, list[Axes]]:
    """A figure with one place for each label of the upward axis, side by side."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=size or (0.5 + 4 * len(up), 3.4), layout="constrained")
    places = list(figure.subplots(1, len(up), squeeze=False)[0])
    for place, label in zip(places, up, strict=True):
        plain(place, across, label)
    return figure, places


def plain(place: Axes, across: str, up: str) -> None:
    """Labels, a faint grid, no frame above and to the right."""
    place.set_xlabel(across)
    place.set_ylabel(up)
    place.spines[["top", "right"]].set_visible(False)
    place.grid(alpha=0.15)


def curve(place: Axes, across: Sequence[float], found: Sequence[Mean], label: str) -> None:
    """Means over a quantity, with their intervals as a band."""
    (line,) = place.plot(
        across, [one.value for one in found], marker="o", markersize=3, label=label
    )
    low, high = [one.low for one in found], [one.high for one in found]
    place.fill_between(across, low, high, color=line.get_color(), alpha=0.15, linewidth=0)


def bars(
    place: Axes, at: Sequence[float], found: Sequence[Mean], label: str, width: float = 0.38
) -> None:
    """Means as bars, with their intervals."""
    spans = [[one.value - one.low for one in found], [one.high - one.value for one in found]]
    heights = [one.value for one in found]
    place.bar(at, heights, width=width, yerr=spans, label=label, error_kw={"linewidth": 0.8})
