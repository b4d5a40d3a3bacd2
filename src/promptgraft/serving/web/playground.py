"""The tab Playground: one input, several prompts of a model side by side."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr

from promptgraft.api.answering import answer, example
from promptgraft.errors import PromptgraftError
from promptgraft.models.loading import is_at_hand
from promptgraft.serving.web.desk import Desk
from promptgraft.serving.web.show import filled, panel, problem, told

LONGEST = 256  # tokens that a prompt may write here


@told
def answers(
    desk: Desk, model: str, names: Sequence[str], text: str, second: str, longest: float
) -> str:
    """What the prompts say to an input, one prompt a row of one mixed batch."""
    if not names:
        raise PromptgraftError("Choose a prompt or several.")
    if not text.strip():
        raise PromptgraftError("Type an input, or draw an example of the task.")
    texts = [text, second] if second.strip() else [text]
    full = list(dict.fromkeys(desk.library.resolve(name) for name in names))
    own: dict[str, Any] = {"library": desk.library, "max_new_tokens": min(int(longest), LONGEST)}
    problems = {}
    with desk.using(model) as (frozen,):
        try:
            found = answer(full, texts, frozen, **own)
        except PromptgraftError:  # one by one, so that the others do not suffer
            found = []
            for name in full:
                try:
                    found += answer([name], texts, frozen, **own)
                except PromptgraftError as error:
                    problems[name] = str(error)
    return filled("answers.html.j2", answers=found, problems=problems)


def an_example(desk: Desk, model: str, names: Sequence[str]) -> list[str]:
    """The one or two texts of a test row, of the first of these prompts whose task is at hand.

    Raises PromptgraftError if no task is.
    """
    if not names:
        raise PromptgraftError("Choose a prompt, and an example of its task is drawn.")
    problems = []
    with desk.using(model) as (frozen,):
        for name in names:
            try:
                full = desk.library.resolve(name)
                return example(full, frozen, random.randrange(10**6), library=desk.library)
            except PromptgraftError as error:
                problems.append(str(error))
    raise PromptgraftError(problems[0])


def drawn_into(work: Callable[[], list[str]]) -> tuple[Any, Any, str]:
    """What an example puts into two boxes and beside them; boxes stay as they are if it fails."""
    try:
        texts = work()
    except (PromptgraftError, OSError) as error:
        return gr.skip(), gr.skip(), problem(error)
    return texts[0], "".join(texts[1:2]), ""


def start(desk: Desk) -> str | None:
    """The model that the tab begins with: of those on this machine the one with most prompts."""
    counts = Counter(entry.card.base.name for entry in desk.entries())
    return max(desk.models(), key=lambda name: (is_at_hand(name), counts[name]), default=None)


def add(desk: Desk, blocks: Any) -> None:
    """Lay the tab out."""
    with gr.Tab("Playground") as tab:
        with gr.Row():
            model = gr.Dropdown([], label="Model")
            names = gr.Dropdown(
                [], label="Prompts", multiselect=True, allow_custom_value=True, scale=3
            )
        text = gr.Textbox(label="Input", lines=2, autofocus=False)
        second = gr.Textbox(label="Second input", info="For tasks that read two texts.")
        with gr.Row():
            drawn = gr.Button("An example of the task")
            asked = gr.Button("Ask", variant="primary")
        with gr.Accordion("Settings", open=False):
            longest = gr.Slider(1, LONGEST, value=64, step=1, label="Longest text, in tokens")
        shown = panel()

    def offer(chosen: str | None) -> list[Any]:
        chosen = chosen or start(desk)
        own = desk.prompts(chosen) if chosen else []
        return [
            gr.Dropdown(desk.models(), value=chosen),
            gr.Dropdown(own, value=own[:2]),
        ]

    def change(chosen: str) -> Any:
        own = desk.prompts(chosen)
        return gr.Dropdown(own, value=own[:2])

    def ask(*given: Any) -> str:
        return answers(desk, *given)

    def draw(model: str, names: list[str]) -> tuple[Any, Any, str]:
        return drawn_into(lambda: an_example(desk, model, names))

    blocks.load(offer, model, [model, names])
    tab.select(lambda: gr.Dropdown(desk.models()), None, model)
    model.input(change, model, names)
    drawn.click(draw, [model, names], [text, second, shown])
    for event in (asked.click, text.submit):
        event(ask, [model, names, text, second, longest], shown)
