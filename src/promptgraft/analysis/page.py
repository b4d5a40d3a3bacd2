"""One HTML page about tuned and moved prompts: no network, no scripts, pictures inline."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from promptgraft import files
from promptgraft.analysis import curves
from promptgraft.prompts import Prompt

TEXT_COLOUR = "#010203"  # stands for the page's own, light or dark


@dataclass(frozen=True)
class Headline:
    """What a prompt changed, in one number before and one after."""

    what: str
    before: float
    after: float


@dataclass(frozen=True)
class Score:
    """A row of a comparison: `value` in per cent with its interval."""

    name: str
    how: str
    value: float
    low: float
    high: float
    ours: bool = False
    """Whether a tuned or moved prompt is behind it."""


@dataclass(frozen=True)
class Comparison:
    """Scores on the same test rows."""

    metric: str
    rows: int
    scores: Sequence[Score]
    top: float = 100.0
    """The right end of the scale."""


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
        return inline_svg(self.lines, self.score)


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
    text = render(page)
    with files.whole_file(file) as temporary:
        temporary.write_text(text, "utf-8")


def render(page: Page) -> str:
    """The page as HTML; every text in it is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("promptgraft.analysis", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.j2").render(page=page)


def inline_svg(lines: Sequence[curves.Line], score: str) -> str:
    """The curves as SVG that takes text colour and font from the page around it."""
    import matplotlib

    figure = curves.draw(lines, score, TEXT_COLOUR)
    stream = StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "promptgraft"}):
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None})
    text = stream.getvalue()
    text = text[text.index("<svg") :].replace(TEXT_COLOUR, "currentColor")
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font-size: \1", text)
    return re.sub(r'<svg ([^>]*?)width="[^"]*pt"', r"<svg \1", text).replace(' height="216pt"', "")
