"""The tab Train: a small run with its curve as it goes; only where one may write."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import gradio as gr

from promptgraft import api
from promptgraft.analysis import curves, html
from promptgraft.api.config import PLAIN
from promptgraft.errors import BadFileError, PromptgraftError, StoppedError
from promptgraft.serving.web.desk import Desk
from promptgraft.serving.web.show import filled, panel, problem
from promptgraft.tasks import builtin
from promptgraft.training import Report, parse_settings, read

SECONDS = 0.7  # between two looks at a run
SCORED = 500  # validation and test rows at most: it is a small run


class Running:
    """A run in a thread: what it last reported, and how it ended."""

    def __init__(self, desk: Desk, config: api.TuneConfig) -> None:
        self.desk, self.config = desk, config
        self.report: Report | None = None
        self.run: api.Run | None = None
        self.error: Exception | None = None
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._work, daemon=True)
        self.thread.start()

    def _work(self) -> None:
        try:
            self.run = api.tune(self.config, library=self.desk.library, report=self._note)
        except Exception as error:  # for the page to tell
            self.error = error

    def _note(self, report: Report) -> None:
        if self.stopping.is_set():
            raise StoppedError(f"Stopped at step {report.step}; nothing was kept.")
        self.report = report

    def svg(self) -> str:
        """The curves so far."""
        if self.report is None:  # the folder may still hold those of an earlier run
            return ""
        try:
            lines = curves.read(self.config.folder() / "metrics.jsonl")
        except BadFileError:  # the last line is being written
            return ""
        with html.colours_of_the_page():
            return html.inline(curves.draw(lines, self.report.measure, html.TEXT_COLOUR))


def config_of(
    task: str, model: str, method: str, steps: float, length: float, few: float, more: str
) -> api.TuneConfig:
    """The settings of a small run; `more` holds key=value lines. Raises ConfigError."""
    own = parse_settings([line.strip() for line in more.splitlines() if line.strip()])
    given = {
        "task": task,
        "model": model,
        "method": method,
        "steps": int(steps),
        "length": int(length),
        "few_shot": int(few) if few else None,
        "evaluate_every": max(1, int(steps) // 10),
        "evaluate_rows": SCORED,
        "test_rows": SCORED,
    }
    config: api.TuneConfig = read(api.TuneConfig, None, given | own)
    return config


def tuned(desk: Desk, *given: Any) -> Iterator[str]:
    """A run from start to end, as HTML that changes; ends the run if nobody looks any more."""
    try:
        desk.check_writing()
        config = config_of(*given)
        if config.model not in desk.models():
            raise PromptgraftError(f"{config.model} is not among the models of this page.")
        if config.trains_weights:
            raise PromptgraftError(f"{config.method} trains weights; this page tunes prompts.")
        if not desk.training.acquire(blocking=False):
            raise PromptgraftError("A run is going on; wait for its end or stop it.")
    except PromptgraftError as error:
        yield problem(error)
        return
    running = Running(desk, config)
    try:
        while running.thread.is_alive():
            running.thread.join(SECONDS)
            yield filled("run.html.j2", running=running, svg=running.svg())
    finally:
        running.stopping.set()
        running.thread.join()
        desk.training.release()
    if isinstance(running.error, (PromptgraftError, OSError)):
        yield problem(running.error)
    elif running.error is not None:
        yield problem("The run failed by a bug in promptgraft; the terminal has the lines.")
        raise running.error
    else:
        yield filled("run.html.j2", running=running, svg=running.svg())


def add(desk: Desk, blocks: Any) -> None:
    """Lay the tab out."""
    with gr.Tab("Train") as tab:
        with gr.Row():
            task = gr.Dropdown(
                builtin.listed(), value="sst2", label="Task", allow_custom_value=True,
                info="Built in, or a file on this machine.",
            )  # fmt: skip
            model = gr.Dropdown([], label="Model")
            method = gr.Dropdown(list(PLAIN), value=PLAIN[0], label="Method")
        with gr.Row():
            steps = gr.Slider(10, 2000, value=200, step=10, label="Steps")
            length = gr.Slider(1, 100, value=20, step=1, label="Virtual tokens")
            few = gr.Number(0, label="Training rows", precision=0, info="Of each label; 0: all.")
        more = gr.Textbox(
            label="More settings", lines=2,
            info="`KEY=VALUE` lines as for `promptgraft tune`, for instance `data.text=review`",
        )  # fmt: skip
        with gr.Row():
            stop = gr.Button("Stop")
            start = gr.Button("Tune", variant="primary")
        shown = panel()

    def offer(chosen: str | None) -> Any:
        models = desk.models()
        return gr.Dropdown(models, value=chosen or next(iter(models), None))

    def run(*given: Any) -> Iterator[str]:
        yield from tuned(desk, *given)

    for event in (blocks.load, tab.select):
        event(offer, model, model)
    going = start.click(run, [task, model, method, steps, length, few, more], shown)
    stop.click(lambda: problem("Stopped; nothing was kept."), None, shown, cancels=going)
