"""Prompts that no one value can stand for: PTG, ATTEMPT and DePT are served as what they are."""

import random

import pytest
import torch

from conftest import tiny
from promptgraft.errors import PromptgraftError
from promptgraft.prompts import ModuleState
from promptgraft.serving import Engine, Request
from promptgraft.serving.choices import Chooser
from promptgraft.serving.prompts import Prompts
from serving.libraries import adaptive, filled

SOURCES = ["the film is great", "a dull story", "good fun", "is it far too long ?"]


@pytest.mark.parametrize("kind", ["gpt2", "bart", "t5"])
def test_they_write_as_alone(tmp_path, kind):
    """In one batch with one another and with plain prompts; against `FrozenModel.generate`."""
    model = tiny(kind)
    library = filled(model, tmp_path / "library")
    own = adaptive(model, library)
    asked = [
        Request(source=source, prompt=name, max_new_tokens=2 + place)
        for place, source in enumerate(SOURCES)
        for name in [*own, "soft1@tiny", "prefix1@tiny"]
    ]
    random.Random(0).shuffle(asked)
    engine = Engine(model, library, rows=12)
    tickets = [engine.submit(request) for request in asked]
    engine.run_until_done()
    other = 0
    for request, ticket in zip(asked, tickets, strict=True):
        value = own.get(request.prompt) or library.get(request.prompt)

        def written(prompt, request=request):
            return model.generate([request.source], prompt, max_new_tokens=request.max_new_tokens)

        assert [ticket.text()] == written(value), request
        other += request.prompt in own and written(value.usual) != written(value)
    assert other > len(SOURCES), "their plain values write the same; the test shows nothing"


@pytest.mark.parametrize("kind", ["bert", "t5", "gpt2"])
def test_they_choose_as_alone(tmp_path, kind):
    model = tiny(kind)
    library = filled(model, tmp_path / "library")
    own = adaptive(model, library)
    chooser = Chooser(model, Prompts(model, library))
    for name, value in own.items():
        with chooser.lock:  # they are answered in one pass
            chooser.submit(SOURCES, "soft1@tiny")
            asked = chooser.submit(SOURCES, name)
        found = [one.result(60) for one in asked]
        alone = [model.choice_scores([text], ["bad", "good"], value)[0] for text in SOURCES]
        chances = [torch.tensor([one.chances["bad"], one.chances["good"]]) for one in found]
        torch.testing.assert_close(
            torch.stack(chances), torch.stack(alone).softmax(1), rtol=0, atol=1e-5
        )


def test_the_cache_counts_their_modules(model, library):
    (name, value), *_ = adaptive(model, library).items()
    prompts = Prompts(model, library)
    prompts.get(name)
    assert prompts.bytes == sum(t.numel() * t.element_size() for t in value.state.tensors.values())


def test_what_cannot_be_served_is_refused(model, library):
    value = adaptive(model, library)["ptg@tiny:prefix"]
    settings, tensors = value.state
    for name, changed, message in (
        ("other@tiny", {"settings": settings["settings"] | {"encoder": "mini/bert-s"}},
         "ptg reads texts with a model of its own, mini/bert-s.*transfer.encoder=own"),
        ("newer@tiny", {"method": "ptg2"}, "method 'ptg2', which this promptgraft does not know"),
    ):  # fmt: skip
        library.add(value.usual, name, ModuleState(settings | changed, tensors))
        with pytest.raises(PromptgraftError, match=message):
            Engine(model, library).submit(Request(source="good", prompt=name))


def test_a_module_that_is_kept_to_go_on_training_changes_nothing(model, library):
    plain = library.get("soft1@tiny")
    library.add(plain, "kept@tiny", ModuleState({"module": "direct"}, {"x": torch.zeros(1)}))
    assert Prompts(model, library).get("kept@tiny").runs == plain
