"""A library as part of a report: its prompts, how alike they are, where they come from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

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


@dataclass(frozen=True)
class Likenesses:
    """How alike prompts of one model and kind are.

    cosines   [S, S], of the means over their virtual tokens (library/likeness.py)
    left_out  prompts that are not among them: too many, or they cannot be read
    """

    title: str
    names: Sequence[str]
    cosines: Tensor
    left_out: int


def spaces(listing: Listing) -> dict[str, list[Entry]]:
    """The prompts that may be compared, by what they have in common: a kind and a model."""
    found: dict[tuple[str, str], list[Entry]] = {}
    for entry in listing[:LISTED]:
        card = entry.card
        found.setdefault((card.kind, card.base.identity), []).append(entry)
    titled: dict[str, list[Entry]] = {}
    for (kind, identity), entries in found.items():
        title = f"{kind} · {entries[0].card.base.name}"
        titled[f"{title} ({identity[:12]})" if title in titled else title] = entries
    return titled


def likenesses(title: str, entries: Sequence[Entry]) -> list[Likenesses]:
    """Of a space's prompts, where there are two or more; one more for prefixes of other attention
    sites, which are not compared. Prompts that cannot be read are left out."""
    left_out = len(entries[COMPARED:])
    means = {}
    for entry in entries[:COMPARED]:
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
        found.append(Likenesses(title, names, matrix, left_out))
    return found


def pictures(listing: Listing) -> list[Picture]:
    """The likenesses in every space drawn, the similar prompts side by side."""
    found = []
    for space in spaces(listing).items():
        for one in likenesses(*space):
            short = [without_model(name) for name in one.names]
            with html.colours_of_the_page():
                figure, _ = heatmaps.clustered(
                    one.cosines, short, [0] * len(short), "", limits=(-1, 1)
                )
                svg = html.inline(figure)
            found.append(Picture(one.title, svg, float(figure.get_figwidth()), one.left_out))
    return found


def lineage(library: Library, listing: Listing) -> list[Origin]:
    """The trees of the prompts that were made from others."""
    return [
        origin(library, entry.name, entry.card) for entry in listing[:LISTED] if entry.card.parents
    ]


def without_model(name: str) -> str:
    """`sst2@mini/bert-s:v2` as `sst2:v2`: one picture is about one model."""
    task, _, rest = name.partition("@")
    tag = rest.partition(":")[2]
    return html.short(f"{task}:{tag}" if tag else task, 32)
