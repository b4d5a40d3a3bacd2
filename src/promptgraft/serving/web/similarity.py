"""The tab Similarity: how alike the prompts of a model are, and what any two differ in."""

from __future__ import annotations

import json
from typing import Any

import gradio as gr

from promptgraft.analysis import heatmaps, library_report
from promptgraft.errors import PromptgraftError
from promptgraft.library import difference
from promptgraft.serving.web.desk import Desk
from promptgraft.serving.web.show import filled, panel, told


def spaces(desk: Desk) -> list[str]:
    """What can be compared: the kinds of prompts of each model, where there are two or more."""
    found = library_report.spaces(desk.library.list())
    return [title for title, entries in found.items() if len(entries) > 1]


@told
def pictures(desk: Desk, space: str | None) -> str:
    """The cosines of a space's prompts as maps of buttons, similar ones side by side."""
    known = library_report.spaces(desk.library.list())
    if space not in known:
        raise PromptgraftError("No model has two prompts of one kind here.")
    maps = []
    for one in library_report.likenesses(space, known[space]):
        order = heatmaps.side_by_side(one.cosines)
        names = [one.names[place] for place in order]
        cosines = one.cosines[order][:, order].tolist()
        maps.append((names, list(map(library_report.without_model, names)), cosines, one.left_out))
    return filled("similarity.html.j2", maps=maps)


@told
def pair(desk: Desk, key: str) -> str:
    """Two prompts side by side, as `promptgraft diff`; their names as a JSON list."""
    one, other = (desk.library.resolve(name) for name in json.loads(key))
    found = difference(desk.library.get(one), desk.library.get(other))
    return filled("pair.html.j2", one=one, other=other, found=found)


def add(desk: Desk) -> None:
    """Lay the tab out."""
    with gr.Tab("Similarity") as tab:
        space = gr.Dropdown([], label="Prompts")
        drawn = panel(clickable=True)  # over the whole width: a map may be wide
        shown = panel()

    def offer(chosen: str | None) -> list[Any]:
        found = spaces(desk)
        chosen = chosen if chosen in found else next(iter(found), None)
        return [gr.Dropdown(found, value=chosen), pictures(desk, chosen)]

    def choose(event: gr.EventData) -> str:
        return pair(desk, event.key)

    tab.select(offer, space, [space, drawn])
    space.input(lambda chosen: pictures(desk, chosen), space, drawn)
    drawn.click(choose, None, shown)
