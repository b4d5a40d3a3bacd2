"""`import promptgraft as pg` is enough, is light, and is known to type checkers."""

import ast
import pydoc
import subprocess
import sys
from pathlib import Path

import pytest

import promptgraft as pg

HEAVY = {"torch", "transformers", "numpy", "pydantic", "matplotlib", "typer"}


def run(script: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def typed() -> dict[str, str]:
    """Name -> module, as the imports for type checkers have them."""
    (block,) = (
        node
        for node in ast.parse(Path(pg.__file__).read_text()).body
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name)
    )
    return {
        alias.asname: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def test_type_checkers_are_told_the_same_names():
    modules = typed()
    assert sorted(modules) == pg.__all__
    for name, module in modules.items():
        found = getattr(pg, name)
        assert found is getattr(sys.modules[module], name)


def test_importing_and_looking_around_loads_nothing_heavy():
    names = run("import promptgraft, sys; assert 'tune' in dir(promptgraft); print(*sys.modules)")
    assert not HEAVY & set(names)


def test_the_verb_is_not_its_folder():
    script = (
        "import promptgraft as pg\n"
        "from promptgraft.transfer import across_models\n"
        "from promptgraft import api\n"
        "print(pg.transfer is api.transfer, across_models.__name__)"
    )
    assert run(script) == ["True", "promptgraft.transfer.across_models"]


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'tuen'"):
        pg.tuen  # noqa: B018


def test_help_begins_with_what_there_is():
    text = pydoc.plain(pydoc.render_doc(pg))
    head, _, rest = text.partition("PACKAGE CONTENTS")
    for name in ("tune", "transfer", "FrozenModel", "Library"):
        assert f" {name}" in head
        assert name in rest
    public = {name for name in pg.__all__ if f" {name}" not in head}
    # What verbs return, and what is told of them, is found there.
    assert all(name[0].isupper() for name in public), public
