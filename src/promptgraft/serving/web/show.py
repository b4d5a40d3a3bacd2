"""HTML for the page. Texts are escaped by the templates: the cards are other people's."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import gradio as gr

from promptgraft.analysis import html
from promptgraft.errors import PromptgraftError

# Whatever in it has a data-key is a button; the key comes with the event.
CLICKED = """element.addEventListener('click', event => {
  const found = event.target.closest('[data-key]');
  if (found) trigger('click', {key: found.dataset.key});
});"""


def filled(template: str, **values: Any) -> str:
    """A template of this folder, filled in; halves of characters, as paths may have, become "?"."""
    text = html.render(template, package=__package__, **values)
    return text.encode("utf-8", "replace").decode()


def problem(error: Exception | str) -> str:
    """What is wrong, for the page."""
    return filled("problem.html.j2", text=str(error))


def told(work: Callable[..., str]) -> Callable[..., str]:
    """The same function, with what a user can put right as a text on the page."""

    @functools.wraps(work)
    def guarded(*arguments: Any) -> str:
        try:
            return work(*arguments)
        except (PromptgraftError, OSError) as error:
            return problem(error)

    return guarded


def panel(value: str = "", clickable: bool = False) -> Any:
    """A place on the page for HTML of ours."""
    return gr.HTML(
        value, elem_classes="pg", apply_default_css=False, js_on_load=CLICKED if clickable else None
    )
