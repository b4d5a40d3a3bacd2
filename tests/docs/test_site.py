"""The site builds without a warning, needs nobody else's server, and its reference is whole."""

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

import promptgraft as pg
from promptgraft.api.auto import AutoSettings
from promptgraft.transfer import across_models, across_tasks

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"
FETCHED = re.compile(  # what a browser loads by itself; a link to click is none of it
    r"""<(?:script|img|iframe|link)\b[^>]*(?:src|href)=["']?(?:https?:)?//|@import|url\(["']?https?:"""
)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built site's folder."""
    pytest.importorskip("material")
    pytest.importorskip("mkdocstrings_handlers.python")
    folder = tmp_path_factory.mktemp("site")
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet"]
    done = subprocess.run([*build, "--site-dir", str(folder)], cwd=ROOT, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    return folder


def test_pages_fetch_nothing_from_elsewhere(site):
    found = sorted(site.rglob("*.html"))
    assert len(found) > 10
    for page in found:
        assert not FETCHED.findall(page.read_text())
    for style in site.rglob("*.css"):
        assert not FETCHED.findall(style.read_text())


def test_docstrings_keep_their_columns(site):
    text = (site / "reference.html").read_text()
    assert "task   default: the one that the prompt was made for" in text


def test_the_reference_has_every_public_name():
    text = (DOCS / "reference.md").read_text()
    shown = set(re.findall(r"^::: promptgraft\.([\w.]+)", text, flags=re.MULTILINE))
    settings = {name for name in shown if name.startswith(("transfer.", "api."))}
    assert {name.partition(".")[0] for name in shown - settings} == set(pg.__all__)
    methods = [method.Settings for method in across_tasks.METHODS.items.values()]
    methods += [*across_models.METHODS.items.values(), AutoSettings]
    names = {f"{one.__module__}.{one.__qualname__}" for one in methods}
    assert {f"promptgraft.{name}" for name in settings} == names


@pytest.mark.parametrize("picture", sorted(DOCS.glob("pictures/*.svg")), ids=lambda file: file.stem)
def test_a_picture_says_what_it_shows_and_has_a_dark_form(picture):
    root = ElementTree.parse(picture).getroot()
    assert root.get("aria-label")
    assert "prefers-color-scheme: dark" in picture.read_text()
    assert any(picture.name in page.read_text() for page in DOCS.glob("concepts/*.md"))
