"""The page as a web application: tabs, looks, and nothing from elsewhere."""

from __future__ import annotations

from pathlib import Path

import gradio as gr
from fastapi import FastAPI

from promptgraft.analysis import html
from promptgraft.serving.web import (
    library_page,
    playground,
    similarity,
    train_page,
    transfer_page,
)
from promptgraft.serving.web.desk import Desk
from promptgraft.serving.web.show import filled, panel

TEXT = ("-apple-system", "Segoe UI", "Roboto", "Ubuntu", "Cantarell", "sans-serif")
CODE = ("SFMono-Regular", "Menlo", "Consolas", "monospace")


def application(desk: Desk) -> FastAPI:
    """The page. It asks no other machine for anything, and reports to none."""
    with gr.Blocks(title="promptgraft", analytics_enabled=False) as blocks:
        panel(filled("head.html.j2", where=desk.library.path, write=desk.write))
        with gr.Tabs():
            library_page.add(desk, blocks)
            playground.add(desk, blocks)
            similarity.add(desk)
            transfer_page.add(desk, blocks)
            if desk.write:
                train_page.add(desk, blocks)
    return gr.mount_gradio_app(  # type: ignore[no-any-return]
        FastAPI(docs_url=None, redoc_url=None, openapi_url=None),
        blocks,
        path="/",
        footer_links=[],
        run_history=False,
        show_error=False,
        max_file_size=1,  # bytes: nothing is to be uploaded
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        theme=_theme(),
        head=f"<style>{_style()}</style>",
    )


def _theme() -> gr.themes.Base:
    """Fonts of the machine; gradio's own names are looked for at Google."""
    return gr.themes.Default(
        primary_hue="blue",
        neutral_hue="slate",
        font=[gr.themes.Font(name) for name in TEXT],
        font_mono=[gr.themes.Font(name) for name in CODE],
    )


def _style() -> str:
    """The report's looks inside panels, in the theme's colours."""
    own = Path(__file__).with_name("style.css").read_text("utf-8")
    return f".pg {{ {html.parts_style()} }}\n{own}"
