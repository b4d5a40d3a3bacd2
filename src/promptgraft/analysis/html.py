"""HTML from the templates: every text escaped, pictures inline, nothing from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from promptgraft import files
from promptgraft.library import fields

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TEXT_COLOUR = "#010203"  # stands for the page's own, light or dark
HERE = "promptgraft.analysis"
LONGEST = 600  # characters of a text that someone else wrote


def render(template: str, package: str = HERE, **values: Any) -> str:
    """A template, filled in: of the folder templates of a package, or of ours."""
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=ChoiceLoader([PackageLoader(name) for name in dict.fromkeys((package, HERE))]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"short": short, "flat": flat}
    return environment.get_template(template).render(values)


def parts_style() -> str:
    """The CSS of what pages are made of: tables, facts, trees, curves."""
    return Path(__file__).with_name("templates").joinpath("parts.css").read_text("utf-8")


def save(text: str, file: Path) -> None:
    """Write a page; halves of characters, which JSON may hold and UTF-8 may not, become "?"."""
    with files.whole_file(file) as temporary:
        temporary.write_bytes(text.encode("utf-8", "replace"))


def short(value: object, longest: int = LONGEST) -> str:
    """The value as a text; the end of a very long one is only counted."""
    text = str(value)
    if len(text) <= longest:
        return text
    return f"{text[:longest]}… ({len(text) - longest:,} more characters)"


def flat(settings: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Settings with dotted names, numbers in four digits."""
    return [
        (name, f"{value:.4g}" if isinstance(value, float) else str(value))
        for name, value in fields.flat(settings)
    ]


@contextmanager
def colours_of_the_page() -> Iterator[None]:
    """Pictures drawn here have texts in the page's colour and font, taken as they are: no $…$."""
    import matplotlib

    with matplotlib.rc_context(
        {
            "text.color": TEXT_COLOUR,
            "xtick.color": TEXT_COLOUR,
            "ytick.color": TEXT_COLOUR,
            "text.parse_math": False,
            "svg.fonttype": "none",
            "svg.hashsalt": "promptgraft",
        }
    ):
        yield


def inline(figure: Figure) -> str:
    """A picture as SVG that takes text colour, font and width from the page around it.

    Drawn and made inside `colours_of_the_page`.
    """
    stream = StringIO()
    figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None})
    text = stream.getvalue()
    text = text[text.index("<svg") :].replace(TEXT_COLOUR, "currentColor")
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font-size: \1", text)
    opening, rest = text.split(">", 1)
    return re.sub(r' (width|height)="[^"]*"', "", opening) + ">" + rest
