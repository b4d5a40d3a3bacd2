"""What target prompts borrowed from which source prompts: numbers, CSV and picture."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from promptgraft import files
from promptgraft.analysis.heatmaps import CELL, heatmap
from promptgraft.analysis.pictures import save
from promptgraft.tasks import name_of
from promptgraft.transfer.across_tasks import SIMILARITIES, Transfer, vectors

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LETTER = 0.06  # inches that a letter of a column's name takes below it


@dataclass(frozen=True)
class Borrowing:
    """The target prompts of a run beside what they are mixed from.

    tasks    the T target tasks
    columns  the C prompts that are mixed: sources, perhaps one of the task's own
    weights  [T, C] of the mixture
    cosines  [T, C] of the means of target prompt and column (CrossPT, Eq. 2)
    between  [T, T] mean cosine of the target prompts' tokens (CrossPT, Eq. 4)
    sources  how many of the columns, the first, are sources
    """

    tasks: Sequence[str]
    columns: Sequence[str]
    weights: Tensor
    cosines: Tensor
    between: Tensor
    sources: int

    def reliance(self) -> Tensor:
        """Weighted similarity to the source prompts, Σ_s weight · cosine (CrossPT, Eq. 3): [T]."""
        shared = slice(self.sources)
        return (self.weights[:, shared] * self.cosines[:, shared]).sum(1)

    def shares(self) -> dict[str, dict[str, float]]:
        """By task the columns' weights, the largest first."""
        return {
            task: dict(sorted(zip(self.columns, row, strict=True), key=lambda pair: -pair[1]))
            for task, row in zip(self.tasks, self.weights.tolist(), strict=True)
        }

    def numbers(self) -> dict[str, Any]:
        """As JSON has it; `from_numbers` reads it."""
        return {n: v.tolist() if isinstance(v, Tensor) else v for n, v in vars(self).items()}

    @classmethod
    def from_numbers(cls, numbers: Mapping[str, Any]) -> Borrowing:
        """What `numbers` gave."""
        tensors = {n: torch.tensor(numbers[n]) for n in ("weights", "cosines", "between")}
        return cls(**{**numbers, **tensors})


@torch.no_grad()
def borrowing_of(module: Transfer) -> Borrowing | None:
    """What a tuned module borrowed; None if its method has no weights to say so."""
    found = module.borrowed()
    if found is None:
        return None
    targets = torch.stack(
        [vectors(module.layout.flatten(tensors)) for tensors in module.each()]
    ).cpu()
    parts = found.prompts.cpu()
    cosine = SIMILARITIES["cosine"]
    cosines = torch.cat([cosine(t[None], own) for t, own in zip(targets, parts, strict=True)])
    between = SIMILARITIES["tokens"](targets, targets)
    tasks = [name_of(task) for task in module.tasks]
    weights = found.weights.cpu()
    return Borrowing(tasks, found.columns, weights, cosines, between, len(module.sources))


def write(borrowing: Borrowing, folder: Path) -> None:
    """borrowed.csv (a line for every task and prompt), reliance.csv (Eq. 3), borrowed.png, and for
    several tasks between.csv (a line for every two)."""
    several = len(borrowing.tasks) > 1
    tasks, columns = borrowing.tasks, borrowing.columns
    mixed = {"weight": borrowing.weights, "cosine": borrowing.cosines}
    _lines(folder / "borrowed.csv", ("task", "prompt"), tasks, columns, mixed)
    if borrowing.sources:
        relied = {"weighted similarity": borrowing.reliance()[:, None]}
        _lines(folder / "reliance.csv", ("task", "to"), tasks, ["sources"], relied)
    if several:
        alike = {"cosine": borrowing.between}
        _lines(folder / "between.csv", ("task", "other task"), tasks, tasks, alike)
    save(drawn({"": borrowing}, several), folder / "borrowed.png")


def _lines(
    file: Path,
    heads: tuple[str, str],
    rows: Sequence[str],
    columns: Sequence[str],
    matrices: Mapping[str, Tensor],
) -> None:
    """A CSV file with a line for every row and column of some matrices."""
    with files.whole_file(file) as temporary, temporary.open("w", newline="") as stream:
        lines = csv.writer(stream)
        lines.writerow((*heads, *matrices))
        for (at, row), (over, column) in itertools.product(enumerate(rows), enumerate(columns)):
            cells = (f"{float(matrix[at, over]):.6f}" for matrix in matrices.values())
            lines.writerow((row, column, *cells))


def drawn(found: Mapping[str, Borrowing], between: bool) -> Figure:
    """Weights and cosines side by side, one run below the other under its title.

    between  draw how alike the targets are too

    As CrossPT's Figures 7 and 9.
    """
    from matplotlib.figure import Figure

    sizes = [
        (one.weights.shape[1], one.weights.shape[1], *([len(one.tasks)] * between))
        for one in found.values()
    ]
    heights = [
        CELL * len(one.tasks) + max(2, 0.8 + LETTER * max(map(len, one.columns)))
        for one in found.values()
    ]
    across = max(CELL * sum(widths) + 2 * len(widths) + 1 for widths in sizes)
    figure = Figure(figsize=(across, sum(heights)), layout="constrained")
    parts = figure.subfigures(len(found), 1, height_ratios=heights, squeeze=False)[:, 0]
    for part, widths, (title, one) in zip(parts, sizes, found.items(), strict=True):
        if title:
            part.suptitle(title, x=0.01, ha="left")
        places = part.subplots(1, len(widths), width_ratios=widths)
        heatmap(places[0], one.weights, one.tasks, one.columns, 0, 1, "weight in the mixture")
        heatmap(places[1], one.cosines, one.tasks, one.columns, -1, 1, "cosine with the prompt")
        if between:
            alike = "cosine between the targets"
            heatmap(places[2], one.between, one.tasks, one.tasks, -1, 1, alike)
    return figure
