"""Several prompts that vote: the mean of their chances, storage, and what they cannot do."""

import pytest
import torch

from conftest import tiny
from promptgraft import api, prompts
from promptgraft.errors import BadFileError, PromptgraftError, WrongModelError
from promptgraft.prompts import Ensemble
from promptgraft.serving.choices import Chooser
from promptgraft.serving.prompts import Prompts
from serving.libraries import filled

TEXTS = ["the film is great", "a dull story", "good fun"]
WORDS = ["bad", "good", "is"]
NAMES = ["soft1@tiny", "prefix2@tiny", "soft4@tiny"]  # kinds, lengths and templates differ
EXACT = {"rtol": 0, "atol": 1e-5}


def gathered(model, folder):
    """A library, and an ensemble of some of its prompts."""
    library = filled(model, folder)
    members = [library.get(name) for name in NAMES]
    return library, Ensemble(members, members[0].card.model_copy(update={"task": "together"}))


def mean_of_chances(model, text, members):
    """Literally: one prompt after the other."""
    chances = [model.choice_scores([text], WORDS, one)[0].softmax(0) for one in members]
    return sum(chances) / len(chances)


@pytest.mark.parametrize("kind", ["bert", "t5", "gpt2"])
def test_words_get_the_mean_of_the_chances(tmp_path, kind):
    model = tiny(kind)
    _, ensemble = gathered(model, tmp_path)
    found = model.choice_scores(TEXTS, WORDS, ensemble)
    for text, scores in zip(TEXTS, found, strict=True):
        expected = mean_of_chances(model, text, ensemble.members)
        torch.testing.assert_close(scores.exp(), expected, **EXACT)
    best = [WORDS[number] for number in found.argmax(1)]
    assert model.choose(TEXTS, WORDS, ensemble) == best


def test_beside_other_prompts_in_a_batch_it_is_as_if_alone(tmp_path):
    model = tiny("gpt2")
    library, ensemble = gathered(model, tmp_path)
    mixed = [library.get("soft0@tiny"), ensemble, None]
    found = model.choice_scores(TEXTS, WORDS, mixed)
    for text, one, scores in zip(TEXTS, mixed, found, strict=True):
        alone = model.choice_scores([text], WORDS, one)[0]
        torch.testing.assert_close(scores, alone, **EXACT)


def test_stored_it_is_the_same(tmp_path):
    """And the plain prompt beside it is the first of its members, for whoever reads no further."""
    model = tiny("bert")
    _, ensemble = gathered(model, tmp_path / "library")
    prompts.save(ensemble.usual, tmp_path / "together", ensemble.state)
    state = prompts.load_module_state(tmp_path / "together")
    again = Ensemble.restore(state, prompts.load_card(tmp_path / "together"))
    assert again.members == ensemble.members
    assert [one.card for one in again.members] == [one.card for one in ensemble.members]
    assert prompts.load(tmp_path / "together") == ensemble.members[0]
    whole, expected = (model.choice_scores(TEXTS, WORDS, one) for one in (again, ensemble))
    assert torch.equal(whole, expected)


def test_from_the_library_it_is_scored_and_served_with_all_of_its_members(tmp_path):
    model = tiny("bert")
    library, ensemble = gathered(model, tmp_path)
    library.add(ensemble.usual, "together@tiny", ensemble.state)
    serving = Chooser(model, Prompts(model, library))
    names = ["together@tiny", "soft3@tiny", "together@tiny"]
    with serving.lock:  # all in one pass
        asked = [
            serving.submit([text], name, WORDS)[0] for name, text in zip(names, TEXTS, strict=True)
        ]
    found = [one.result(60) for one in asked]  # before this thread takes the model
    for name, text, one in zip(names, TEXTS, found, strict=True):
        members = ensemble.members if name == "together@tiny" else [library.get(name)]
        expected = mean_of_chances(model, text, members)
        own = torch.tensor([one.chances[word] for word in WORDS])
        torch.testing.assert_close(own, expected, **EXACT)


def test_what_it_cannot_do_is_said(tmp_path):
    model = tiny("gpt2")
    library, ensemble = gathered(model, tmp_path)
    library.add(ensemble.usual, "together@tiny", ensemble.state)
    with pytest.raises(PromptgraftError, match="ensemble of 3 prompts: it chooses among words"):
        model.generate(TEXTS, ensemble)
    with pytest.raises(PromptgraftError, match="it chooses among words and writes nothing"):
        api.generate("together@tiny", TEXTS, model=model, library=library)
    with pytest.raises(PromptgraftError, match="neither be exported nor moved"):
        api.transfer("together@tiny", to=tiny("gpt2"), sources=model, library=library)
    with pytest.raises(PromptgraftError, match="at least one prompt"):
        Ensemble([], ensemble.card)
    other = filled(tiny("llama"), tmp_path / "other").get("soft1@tiny")
    with pytest.raises(WrongModelError, match="are for one model"):
        Ensemble([*ensemble.members, other], ensemble.card)


def test_its_members_tell_no_places_of_this_machine(tmp_path):
    _, ensemble = gathered(tiny("bert"), tmp_path)
    secret = {"hyperparameters": {"data": {"train": "/home/me/secret.csv"}, "lr": 0.1}}
    members = [one.with_card(one.card.model_copy(update=secret)) for one in ensemble.members]
    state = Ensemble(members, ensemble.card).state
    assert "secret" not in str(state.settings)
    assert {one["hyperparameters"]["lr"] for one in state.settings["cards"]} == {0.1}


def test_what_was_never_an_ensemble_is_a_bad_file(tmp_path):
    _, ensemble = gathered(tiny("bert"), tmp_path)
    cards = ensemble.state.settings["cards"]
    for settings, tensors in (
        ({}, ensemble.tensors()),
        ({"cards": []}, {}),
        ({"cards": 3}, ensemble.tensors()),
        ({"cards": ["x", *cards[1:]]}, ensemble.tensors()),
        ({"cards": cards}, {}),
        ({"cards": cards[::-1]}, ensemble.tensors()),
    ):
        with pytest.raises(BadFileError, match="hold no ensemble"):
            Ensemble.restore(prompts.ModuleState(settings, tensors), ensemble.card)
