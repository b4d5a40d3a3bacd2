"""The cache of prompts: what it holds in bytes, and what it lets go."""

import pytest

from promptgraft.errors import BadFileError
from promptgraft.serving.prompts import Prompts


def counted(prompts):
    """The bytes of everything that is kept, counted anew."""
    return sum(
        t.numel() * t.element_size()
        for loaded in prompts.kept.values()
        for t in [*loaded.runs.tensors().values(), *loaded.compiled.values()]
    )


def test_the_running_total_is_what_is_kept(model, library):
    prompts = Prompts(model, library, most_bytes=6000)
    names = [entry.name for entry in library.list()]
    most = 0
    for number in range(40):
        name = names[number * number % len(names)]
        if number % 7 == 3:
            library.add(library.get(name), name, replace=True)
        loaded = prompts.get(name)
        (row,) = model.encode(["good"], loaded.runs)
        prompts.ready(loaded, row)
        assert prompts.bytes == counted(prompts) <= 6000
        most = max(most, len(prompts.kept))
    assert 1 < most < len(names)


def test_short_and_full_names_are_one_prompt(model, library):
    prompts = Prompts(model, library)
    assert prompts.get("soft1") is prompts.get("soft1@tiny")


def test_a_prompt_without_its_numbers(model, library):
    (library.show("soft1@tiny").path / "prompt.safetensors").unlink()
    prompts = Prompts(model, library)
    with pytest.raises(BadFileError):
        prompts.get("soft1@tiny")
    assert not prompts.kept
