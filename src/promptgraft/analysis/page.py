"""One HTML page about tuned and moved prompts: no network, no scripts, pictures inline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from promptgraft.analysis import curves, html
from promptgraft.prompts import Prompt


@dataclass(frozen=True)
class Headline:
    """What a prompt changed, in one number before and one after."""

    what: str
    before: float
    after: float


@dataclass(frozen=True)
class Score:
    """A row of a comparison: `value` in per cent with its interval, if there is one."""

    name: str
    how: str
    value: float
    low: float | None
    high: float | None
    ours: bool = False
    """Whether a tuned or moved prompt is behind it."""
    decimals: int = 1

    def fits(self, top: float) -> bool:
        """Whether it has a place on a scale from 0 to `top`."""
        ends = [end for end in (self.value, self.low, self.high) if end is not None]
        return all(0 <= end <= top for end in ends) and self.decimals == 1


@dataclass(frozen=True)
class Comparison:
    """Scores on the same test rows."""

    metric: str
    rows: int | None
    """None: not known."""
    scores: Sequence[Score]
    top: float = 100.0
    """The right end of the scale."""
    what: str = "Model and prompt"
    """What is compared."""


@dataclass(frozen=True)
class Sample:
    """A table, what was written about it (by whom -> text), and what people wrote."""

    table: Sequence[tuple[str, str]]
    written: Sequence[tuple[str, str]]
    references: Sequence[str]


@dataclass(frozen=True)
class TunedRun:
    """A run: what it was, in facts, and its curves."""

    name: str
    """Of its prompt."""
    facts: Sequence[tuple[str, str]]
    template: str
    lines: Sequence[curves.Line]
    score: str
    """What validation measures, as for `curves.draw`."""

    @property
    def svg(self) -> str:
        with html.colours_of_the_page():
            return html.inline(curves.draw(self.lines, self.score, html.TEXT_COLOUR))


@dataclass(frozen=True)
class Graft:
    """A prompt tuned on one model and moved to another."""

    headline: Headline
    run: TunedRun
    comparison: Comparison
    prompts: Sequence[tuple[str, Prompt]]
    """Names and prompts, each made from the one before."""
    nearest: Sequence[Sequence[Sequence[tuple[str, float]]]]
    """For each of `prompts`, for each virtual token: real tokens with their cosines."""


@dataclass(frozen=True)
class Writing:
    """A prefix and what it wrote."""

    headline: Headline
    run: TunedRun
    comparison: Comparison
    samples: Sequence[Sample]


@dataclass(frozen=True)
class Page:
    """All that the page shows."""

    made: str
    """When, where and in what time."""
    graft: Graft
    writing: Writing
    commands: Sequence[str]


def save(page: Page, file: Path) -> None:
    """Write the page; the file needs nothing but a browser."""
    html.save(render(page), file)


def render(page: Page) -> str:
    """The page as HTML; every text in it is escaped."""
    return html.render("page.html.j2", page=page)
