"""What target prompts borrowed from which source prompts: numbers, CSV and picture."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from promptgraft import files
from promptgraft.analysis.heatmaps import CELL, heatmap, save
from promptgraft.transfer.across_tasks import SIMILARITIES, Transfer, vectors


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
    tasks = [Path(task).stem for task in module.tasks]
    weights = found.weights.cpu()
    return Borrowing(tasks, found.columns, weights, cosines, between, len(module.sources))


def write(borrowing: Borrowing, folder: Path) -> None:
    """borrowed.csv (a line for every task and prompt) and borrowed.png."""
    path = folder / "borrowed.csv"
    with files.whole_file(path) as temporary, temporary.open("w", newline="") as stream:
        lines = csv.writer(stream)
        lines.writerow(("task", "prompt", "weight", "cosine"))
        for row, task in enumerate(borrowing.tasks):
            for column, name in enumerate(borrowing.columns):
                cells = borrowing.weights[row, column], borrowing.cosines[row, column]
                lines.writerow((task, name, *(f"{float(cell):.6f}" for cell in cells)))
    draw(borrowing, folder / "borrowed.png")


def draw(borrowing: Borrowing, file: Path) -> None:
    """Weights and cosines side by side, and the targets' own likeness if there are several.

    As CrossPT's Figures 7 and 9.
    """
    from matplotlib.figure import Figure

    tasks, columns = list(borrowing.tasks), list(borrowing.columns)
    several = len(tasks) > 1
    widths = [len(columns), len(columns), *([len(tasks)] if several else [])]
    size = (CELL * sum(widths) + 2 * len(widths) + 1, CELL * len(tasks) + 2)
    figure = Figure(figsize=size, layout="constrained")
    places = figure.subplots(1, len(widths), width_ratios=widths, squeeze=False)[0]
    heatmap(places[0], borrowing.weights, tasks, columns, 0, 1, "weight in the mixture")
    heatmap(places[1], borrowing.cosines, tasks, columns, -1, 1, "cosine with the prompt")
    if several:
        heatmap(places[2], borrowing.between, tasks, tasks, -1, 1, "cosine between the targets")
    save(figure, file)
