"""The tab Library: find a prompt, read its card, see where it comes from."""

from __future__ import annotations

from typing import Any

import gradio as gr

from promptgraft.analysis import library_report
from promptgraft.library import children, origin
from promptgraft.serving.web.desk import Desk
from promptgraft.serving.web.show import filled, panel, told

ALIKE = 5  # prompts that a card names as most like it


@told
def table(desk: Desk, pattern: str, where: str) -> str:
    """The prompts whose names fit and whose cards pass, as `promptgraft ls GLOB --where FILTER`."""
    listing = desk.library.list(pattern.strip() or "*", where.strip() or None)
    return filled(
        "library.html.j2",
        prompts=library_report.parts(listing),
        count=len(listing),
        broken=listing.broken,
        where=desk.library.path,
    )


@told
def card(desk: Desk, name: str) -> str:
    """All that is known of a prompt, as `promptgraft show`."""
    store = desk.library
    name, found, path = store.show(name)
    return filled(
        "card.html.j2",
        name=name,
        card=found,
        path=path,
        spark=library_report.spark(found.curve),
        tree=origin(store, name, found),
        made=children(store, name),
        alike=store.similar(name, ALIKE),
    )


def add(desk: Desk, blocks: Any) -> None:
    """Lay the tab out."""
    with gr.Tab("Library"):
        with gr.Row():
            pattern = gr.Textbox("*", label="Names", info="A glob, for instance `*@mini/bert-s`")
            where = gr.Textbox(
                label="Filter",
                info="On card fields, for instance `metric.accuracy>80 and base~mini/*`",
                scale=3,
            )
        listed = panel(clickable=True)
        shown = panel(clickable=True)

    def look(pattern: str, where: str) -> str:
        return table(desk, pattern, where)

    def choose(event: gr.EventData) -> str:
        return card(desk, event.key)

    for event in (blocks.load, pattern.submit, where.submit, pattern.blur, where.blur):
        event(look, [pattern, where], listed)
    listed.click(choose, None, shown)
    shown.click(choose, None, shown)
