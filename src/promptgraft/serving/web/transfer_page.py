"""The tab Transfer: a prompt on another model, without training; kept only where one may write."""

from __future__ import annotations

from typing import Any

import gradio as gr

from promptgraft import api
from promptgraft.api.answering import answer
from promptgraft.api.names import library_name
from promptgraft.errors import PromptgraftError
from promptgraft.models.loading import is_at_hand
from promptgraft.prompts import SoftPrompt
from promptgraft.serving.web.desk import Desk
from promptgraft.serving.web.playground import an_example, drawn_into
from promptgraft.serving.web.show import filled, panel, problem, told
from promptgraft.transfer.across_models import METHODS
from promptgraft.transfer.across_models.recipes import DEFAULT


def movable(desk: Desk) -> list[str]:
    """The names of the soft prompts, those of models on this machine first."""
    soft = [entry for entry in desk.entries() if entry.card.kind == "soft-prompt"]
    there = {name: is_at_hand(name) for name in {entry.card.base.name for entry in soft}}
    return [entry.name for entry in sorted(soft, key=lambda one: not there[one.card.base.name])]


def offered() -> list[str]:
    """The methods that need no settings."""
    return [
        name for name in METHODS.names()
        if not any(field.is_required() for field in METHODS[name].model_fields.values())
    ]  # fmt: skip


def home(desk: Desk, name: str) -> str:
    """The model that a prompt was made for."""
    model: str = desk.library.show(name).card.base.name
    return model


def moved(desk: Desk, name: str | None, target: str, method: str) -> tuple[SoftPrompt | None, str]:
    """The prompt for the other model, not kept yet, and what is known of it without labels."""
    try:
        if not name:
            raise PromptgraftError("Choose the soft prompt to move.")
        name = desk.library.resolve(name)
        with desk.using(home(desk, name), target) as (source, place):
            found, new = api.transfer(
                name, place, sources=source, method=method, keep=False, library=desk.library
            )
    except (PromptgraftError, OSError) as error:
        return None, problem(error)
    facts: Any = found.card.hyperparameters
    return found, filled("moved.html.j2", name=new, source=name, card=found.card,
                         trust=facts["trust"])  # fmt: skip


@told
def compared(
    desk: Desk, name: str, prompt: SoftPrompt | None, target: str, text: str, second: str
) -> str:
    """What the prompt says at home, and what the moved one says on its model."""
    if prompt is None:
        raise PromptgraftError("Move a prompt first.")
    texts = [text, second] if second.strip() else [text]
    name = desk.library.resolve(name)
    with desk.using(home(desk, name), target) as (source, place):
        found = answer([name], texts, source, library=desk.library)
        found += answer([prompt], texts, place)
    return filled("answers.html.j2", answers=found, problems={})


@told
def keep(desk: Desk, prompt: SoftPrompt | None, tag: str) -> str:
    """Put the moved prompt into the library; one that is there is not replaced."""
    desk.check_writing()
    if prompt is None:
        raise PromptgraftError("Move a prompt first.")
    name = desk.library.add(prompt, library_name(prompt.card, tag.strip() or None))
    return filled("kept.html.j2", name=name, where=desk.library.path)


def add(desk: Desk, blocks: Any) -> None:
    """Lay the tab out."""
    with gr.Tab("Transfer") as tab:
        with gr.Row():
            name = gr.Dropdown([], label="Prompt", allow_custom_value=True, value=None)
            target = gr.Dropdown([], label="To the model")
            method = gr.Dropdown(offered(), value=METHODS.name_of(type(DEFAULT)), label="Method")
        start = gr.Button("Move", variant="primary")
        prompt = gr.State(None)
        facts = panel()
        text = gr.Textbox(label="One input for both", lines=2)
        second = gr.Textbox(label="Second input", info="For tasks that read two texts.")
        with gr.Row():
            drawn = gr.Button("An example of the task")
            asked = gr.Button("Ask both")
        shown = panel()
        with gr.Row(visible=desk.write):
            tag = gr.Textbox(label="Tag", info="Its name in the library will be task@model:tag.")
            kept = gr.Button("Keep it in the library")
        said = panel()

    def offer(name: str | None, target: str | None) -> list[Any]:
        """What there is to choose from; what was chosen stays, also if it was while we looked."""
        names, models = movable(desk), desk.models()
        first = next(iter(names), None)
        chosen = name or first
        own = home(desk, chosen) if chosen else None
        other = next((model for model in models if model != own), None)
        return [
            gr.Dropdown(names) if name else gr.Dropdown(names, value=first),
            gr.Dropdown(models) if target in models else gr.Dropdown(models, value=other),
        ]

    def draw(name: str | None) -> tuple[Any, Any, str]:
        return drawn_into(lambda: an_example(desk, home(desk, name or ""), [name or ""]))

    for event in (blocks.load, tab.select):
        event(offer, [name, target], [name, target])
    start.click(lambda *given: moved(desk, *given), [name, target, method], [prompt, facts])
    drawn.click(draw, name, [text, second, shown])
    asked.click(lambda *given: compared(desk, *given), [name, prompt, target, text, second], shown)
    kept.click(lambda *given: keep(desk, *given), [prompt, tag], said)
