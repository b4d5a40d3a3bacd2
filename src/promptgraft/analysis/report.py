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
    """What was written for a test row, beside what people wrote."""

    inputs: Facts
    prediction: str
    references: Sequence[str]


@dataclass(frozen=True)
class RunPart:
    """One run.

    svg          its curves; None if it has not begun to learn
    comparisons  its scores, for each task that was scored
    borrowed     what its prompts are mixed from: prompt and share, for each target task
    """

    name: str
    facts: Facts
    template: str
    settings: Facts
    svg: str | None
    comparisons: Sequence[Comparison]
    borrowed: Sequence[tuple[str, Sequence[tuple[str, float]]]]
    answers: Sequence[Answer]
    notes: Sequence[str]


@dataclass(frozen=True)
class PromptPart:
    """One prompt of a library; `spark` are the points of its loss in a box of 100 by 24."""

    name: str
    card: PromptCard
    spark: str


@dataclass(frozen=True)
class Picture:
    """The similarities of one model's prompts; `left_out` of them are not in it."""

    title: str
    svg: str
    inches: float
    left_out: int


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
