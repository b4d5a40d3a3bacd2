"""Matrices as pictures: which prompts are alike, what was borrowed from which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CELL = 0.42  # inches of a cell's side
NUMBERED = 24  # columns up to which the numbers are written into the cells


def heatmap(
    place: Axes,
    matrix: Tensor,
    rows: Sequence[str],
    columns: Sequence[str],
    low: float,
    high: float,
    title: str,
) -> None:
    """Draw a matrix [rows, columns] with its numbers, colours from `low` to `high`."""
    values = matrix.detach().cpu().float().numpy()
    colours = "viridis" if low >= 0 else "RdBu_r"
    image = place.imshow(values, cmap=colours, vmin=low, vmax=high, aspect="auto")
    place.set_xticks(range(len(columns)), columns, rotation=60, ha="right", fontsize=8)
    place.set_yticks(range(len(rows)), rows, fontsize=8)
    place.set_title(title, loc="left", fontsize=10)
    for row, column in np.ndindex(*values.shape) if len(columns) <= NUMBERED else ():
        red, green, blue, _ = image.cmap(image.norm(values[row, column]))
        bright = 0.3 * red + 0.6 * green + 0.1 * blue > 0.55
        ink = "black" if bright else "white"
        text = f"{values[row, column]:.2f}"
        place.text(column, row, text, ha="center", va="center", fontsize=6, color=ink)


def clustered(
    similarity: Tensor,
    names: Sequence[str],
    groups: Sequence[int],
    title: str,
    limits: tuple[float, float] | None = None,
) -> tuple[Figure, list[int]]:
    """Similarities [S, S] ordered by group, with a tree of average linkage beside (PTG, Fig. 2).

    limits  of the colours, so that pictures can be compared; default the least and the largest

    The tree joins prompts of one group before it joins groups. Returns the picture and the order.
    """
    from matplotlib.figure import Figure
    from scipy.cluster.hierarchy import dendrogram

    count = len(names)
    side = CELL * count + 2
    figure = Figure(figsize=(side + 1.5, side), layout="constrained")
    tree_place, place = figure.subplots(1, 2, width_ratios=(1.5, side))
    tree_place.axis("off")
    order = list(range(count))
    if count > 1:
        tree = linked(similarity, groups)
        order = dendrogram(
            tree, ax=tree_place, orientation="left", color_threshold=0, no_labels=True
        )["leaves"]
        tree_place.invert_yaxis()
    shown = [names[node] for node in order]
    ordered = similarity[order][:, order]
    low, high = limits or (float(ordered.min()), float(ordered.max()))
    heatmap(place, ordered, shown, shown, low, high, title)
    for at in range(1, count):
        if groups[order[at]] != groups[order[at - 1]]:
            place.axhline(at - 0.5, color="white", linewidth=2)
            place.axvline(at - 0.5, color="white", linewidth=2)
    return figure, order


def side_by_side(similarity: Tensor) -> list[int]:
    """An order of two or more things in which similar ones are neighbours: as `clustered` has."""
    from scipy.cluster.hierarchy import leaves_list

    order: list[int] = leaves_list(linked(similarity, [0] * len(similarity))).tolist()
    return order


def linked(similarity: Tensor, groups: Sequence[int]) -> NDArray[np.float64]:
    """The tree of average linkage, as scipy has it; groups are joined last."""
    from scipy.cluster.hierarchy import linkage
    from scipy.spatial.distance import squareform

    distances = (similarity.max() - similarity).double().cpu().numpy()
    apart = np.not_equal.outer(groups, groups) * distances.max()
    distances = (distances + distances.T) / 2 + apart
    np.fill_diagonal(distances, 0)
    tree: NDArray[np.float64] = linkage(squareform(distances), "average")
    return tree
