"""A page about runs or about a library: what there is, how good, how alike, where from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from promptgraft.analysis import html
from promptgraft.analysis.page import Comparison
from promptgraft.library import Broken, Origin
from promptgraft.prompts import PromptCard

Facts = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Answer:
    """What was written for a test row, beside what people wrote.

    borrowed  what the row's own prompt is mixed from, where each row has one
    """

    inputs: Facts
    prediction: str
    references: Sequence[str]
    borrowed: Sequence[tuple[str, float]] = ()


@dataclass(frozen=True)
class Mixture:
    """What a task's prompt is mixed from.

    parts     prompts, each with its weight and its cosine with the mixture, the heaviest first
    reliance  weighted similarity to the source prompts (CrossPT, Eq. 3); None without sources
    """

    task: str
    parts: Sequence[tuple[str, float, float]]
    reliance: float | None


@dataclass(frozen=True)
class Picture:
    """A heatmap, `inches` wide; `left_out` of a model's prompts are not in it."""

    title: str
    svg: str
    inches: float
    left_out: int = 0


@dataclass(frozen=True)
class RunPart:
    """One run.

    svg          its curves; None if it has not begun to learn
    comparisons  its scores, for each task that was scored
    mixtures     what its prompts are mixed from, for each target task
    mixed        the same as heatmaps; for several tasks also how alike their prompts are
    """

    name: str
    facts: Facts
    template: str
    settings: Facts
    svg: str | None
    comparisons: Sequence[Comparison]
    mixtures: Sequence[Mixture]
    mixed: Picture | None
    answers: Sequence[Answer]
    notes: Sequence[str]


@dataclass(frozen=True)
class PromptPart:
    """One prompt of a library; `spark` are the points of its loss in a box of 100 by 24."""

    name: str
    card: PromptCard
    spark: str


@dataclass(frozen=True)
class Report:
    """All that the page shows: runs, or what a library holds.

    headlines  numbers and what they count
    left_out   prompts that have no line of their own, because there are too many
    """

    title: str
    made: str
    headlines: Sequence[tuple[str, str]]
    runs: Sequence[RunPart] = ()
    prompts: Sequence[PromptPart] = ()
    left_out: int = 0
    pictures: Sequence[Picture] = ()
    lineage: Sequence[Origin] = ()
    broken: Sequence[Broken] = ()
    commands: Sequence[str] = field(default=())


def save(report: Report, file: Path) -> None:
    """Write the page; the file needs nothing but a browser."""
    html.save(html.render("report.html.j2", report=report), file)
