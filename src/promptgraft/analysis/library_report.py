"""A library as part of a report: its prompts, how alike they are, where they come from."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from promptgraft.analysis import heatmaps, html
from promptgraft.analysis.report import Picture, PromptPart
from promptgraft.errors import BadFileError
from promptgraft.library import Entry, Library, Listing, Origin, origin
from promptgraft.library.likeness import cosine, mean_vector
from promptgraft.prompts import load

LISTED = 500  # prompts with a line of their own
COMPARED = 40  # prompts of one model in a picture


def parts(listing: Listing) -> list[PromptPart]:
    """The first prompts of a library by name."""
    return [PromptPart(one.name, one.card, spark(one.card.curve)) for one in listing[:LISTED]]


def spark(losses: Sequence[float]) -> str:
    """A curve as points of an SVG polyline in a box of 100 by 24; nothing for less than two."""
    values = [value for value in losses if math.isfinite(value)]
    if len(values) < 2:
        return ""
    low, high = min(values), max(values)
    height = high - low or 1.0
    return " ".join(
        f"{100 * place / (len(values) - 1):.1f},{22 - 20 * (value - low) / height:.1f}"
        for place, value in enumerate(values)
    )


def pictures(listing: Listing) -> list[Picture]:
    """For every model with two prompts or more: the cosines of their means (library/likeness.py),
    the similar ones side by side. Prompts that cannot be read are left out."""
    spaces: dict[tuple[str, str], list[Entry]] = {}
    for entry in listing[:LISTED]:
        card = entry.card
        spaces.setdefault((card.kind, card.base.identity), []).append(entry)
    return [
        picture
        for entries in spaces.values()
        for picture in _pictures(entries[:COMPARED], len(entries[COMPARED:]))
    ]


def lineage(library: Library, listing: Listing) -> list[Origin]:
    """The trees of the prompts that were made from others."""
    return [
        origin(library, entry.name, entry.card) for entry in listing[:LISTED] if entry.card.parents
    ]


def _pictures(entries: Sequence[Entry], left_out: int) -> list[Picture]:
    """One picture; one more for prefixes of other attention sites, which are not compared."""
    means = {}
    for entry in entries:
        try:
            means[entry.name] = mean_vector(load(entry.path))
        except BadFileError:
            left_out += 1
    found = []
    for size in sorted({len(mean) for mean in means.values()}):
        names = [name for name, mean in means.items() if len(mean) == size]
        if len(names) < 2:
            continue
        matrix = torch.tensor([[cosine(means[a], means[b]) for b in names] for a in names])
        short = [_without_model(name) for name in names]
        with html.colours_of_the_page():
            figure, _ = heatmaps.clustered(matrix, short, [0] * len(names), "")
            svg = html.inline(figure)
        card = entries[0].card
        title = f"{card.kind} · {card.base.name}"
        found.append(Picture(title, svg, float(figure.get_figwidth()), left_out))
    return found


def _without_model(name: str) -> str:
    """`sst2@mini/bert-s:v2` as `sst2:v2`: one picture is about one model."""
    task, _, rest = name.partition("@")
    tag = rest.partition(":")[2]
    return html.short(f"{task}:{tag}" if tag else task, 32)
