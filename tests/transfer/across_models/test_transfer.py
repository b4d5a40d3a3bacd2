"""From prompts and models to a prompt with its card."""

import pytest
import torch
from torch.nn.functional import cosine_similarity, normalize

from conftest import tiny
from promptgraft.errors import ConfigError, PromptgraftError, WrongModelError
from promptgraft.prompts import Prefix, PromptCard, SoftPrompt
from promptgraft.transfer.across_models import METHODS, Relative, method_of, transfer
from promptgraft.transfer.across_models.baselines import Discretize, Manual
from promptgraft.transfer.across_models.codes import Code
from promptgraft.transfer.across_models.maps import Linear

P = 3


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr("promptgraft.models.loading.CACHE", tmp_path)
    torch.manual_seed(0)


def a_prompt(model, length=P):
    card = PromptCard(
        kind="soft-prompt",
        length=length,
        base=model.reference,
        task="toy",
        template="{prompt} {text}",
    )
    return SoftPrompt(torch.randn(length, model.embedding_size), card)


@pytest.mark.parametrize(
    ("source", "target"), [("bert", "albert"), ("gpt2", "bart"), ("t5", "gpt2"), ("opt", "bert")]
)
def test_it_fits_the_target_and_names_its_parent(source, target):
    source, target = tiny(source), tiny(target)
    prompt = a_prompt(source)
    moved = transfer([prompt], [source], target)
    target.check(moved)
    assert moved.vectors.shape == (P, target.embedding_size)
    assert moved.card.parents[0].content_hash == prompt.content_hash
    assert moved.card.parents[0].relation == "transferred-from"
    table = target.embed(torch.arange(len(target.tokenizer)))
    assert moved.vectors.std().item() == pytest.approx(table.std().item(), rel=1e-4)


def test_to_itself_the_direction_stays_but_for_the_normalisation():
    model = tiny("bert")
    prompt = a_prompt(model)
    moved = transfer([prompt], [model], model, Relative(normalise=False))
    assert cosine_similarity(moved.vectors, prompt.vectors).min() > 0.9999


@pytest.mark.parametrize("name", sorted(set(METHODS.names()) - {"direct", "manual"}))
def test_every_method_gives_a_prompt_and_says_how(name):
    source, target = tiny("bert"), tiny("albert")
    few = {"projector": {"hidden": 8, "epochs": 1}}
    moved = transfer([a_prompt(source)], [source], target, method_of(name, None, few.get(name)))
    target.check(moved)
    card = moved.card
    assert card.method == f"transfer:{name}"
    anchors = METHODS[name].model_fields["anchors"].default
    assert card.hyperparameters["transfer"]["anchors"] == anchors
    assert card.hyperparameters["labels_used"] is False
    assert 0 <= card.hyperparameters["trust"]["matching_loss"] <= 2


def test_several_sources():
    one, two, target = tiny("bert"), tiny("gpt2"), tiny("albert")
    prompts = [a_prompt(one), a_prompt(two)]
    moved = transfer(prompts, [one, two], target)
    assert [p.content_hash for p in moved.card.parents] == [p.content_hash for p in prompts]
    assert 0 < moved.card.hyperparameters["trust"]["spread"] < 2
    alone = transfer(prompts[:1], [one], target)
    assert alone.card.hyperparameters["trust"]["spread"] is None
    assert not torch.equal(alone.vectors, moved.vectors)


def test_lengths_are_refused_or_repaired():
    one, target = tiny("bert"), tiny("albert")
    prompts = [a_prompt(one), a_prompt(one, P + 1)]
    with pytest.raises(ConfigError, match=r"have 3, 4 virtual tokens.*--repair-lengths"):
        transfer(prompts, [one, one], target)
    cut = SoftPrompt(prompts[1].vectors[:P], prompts[0].card)
    repaired = transfer(prompts, [one, one], target, repair_lengths=True)
    expected = transfer([prompts[0], cut], [one, one], target)
    torch.testing.assert_close(repaired.vectors, expected.vectors)


def test_anchors_are_chosen_as_the_settings_say():
    source, target = tiny("bert"), tiny("gpt2")
    few = transfer([a_prompt(source)], [source], target, Relative(anchors=5))
    assert few.card.hyperparameters["trust"]["anchors"] == 5
    named = Discretize(anchors=("good", "is"))
    moved = transfer([a_prompt(source)], [source], target, named)
    rows = target.embed(torch.tensor(target.tokenizer(" good is")["input_ids"]))
    near = torch.cdist(moved.vectors, rows).min(1).values
    assert near.max() == 0


def test_tokens_of_the_target_are_counted_once():
    """ "good" and " good" are two tokens of GPT-2 and one of BERT."""
    source, target = tiny("gpt2"), tiny("bert")
    known = source.tokenizer.get_vocab()
    both = [token for token in known if f"Ġ{token}" in known and token.isalpha()]
    trust = transfer([a_prompt(source)], [source], target, Relative()).card.hyperparameters["trust"]
    assert both
    assert trust["anchors"] > round(trust["coverage"] * len(target.tokenizer))


def test_manual_has_a_length_of_its_own():
    source, target = tiny("bert"), tiny("albert")
    moved = transfer([a_prompt(source)], [source], target, Manual(text="good"))
    assert len(moved) == moved.card.length == 1


def test_a_moved_prompt_is_used_by_a_causal_model_as_keys_and_values():
    source, target = tiny("bert"), tiny("gpt2")
    moved = transfer([a_prompt(source)], [source], target, template="{prompt} {source}")
    assert len(target.generate(["good"], moved, max_new_tokens=2)) == 1


def test_recipes_are_settings_that_go_before_the_defaults_and_behind_ones_own():
    assert method_of() == Code()
    assert method_of(settings={"atoms": "2"}) == method_of("code", None, {"atoms": 2})
    paper = method_of(recipe="paper")
    assert paper == Relative(top_k=8192)
    assert method_of(recipe="paper", settings={"top_k": "9"}).top_k == 9
    assert method_of(recipe="paper-code").solver == "constrained"
    assert method_of("linear", None, {"ridge": "0.5"}) == Linear(ridge=0.5)


def test_refused():
    one, two = tiny("bert"), tiny("gpt2")
    with pytest.raises(WrongModelError):
        transfer([a_prompt(two)], [one], two)
    layers, heads, size = one.geometry.sites["self"]
    card = PromptCard(kind="prefix", length=2, base=one.reference)
    prefix = Prefix({"self": torch.randn(layers, 2, 2, heads, size)}, card)
    zeros = SoftPrompt(torch.zeros(P, one.embedding_size), a_prompt(one).card)
    with pytest.raises(PromptgraftError, match="are all zeros"):
        transfer([zeros], [one], two)
    with pytest.raises(PromptgraftError, match="is a prefix"):
        transfer([prefix], [one], two)
    with pytest.raises(ConfigError, match=r"2 prompts for 1 source"):
        transfer([a_prompt(one), a_prompt(one)], [one], two)
    with pytest.raises(ConfigError, match=r"no recipe 'papers'.*Did you mean 'paper'"):
        method_of(recipe="papers")
    with pytest.raises(ConfigError, match=r"no method of transfer 'relativ'.*Did you mean"):
        method_of("relativ")
    with pytest.raises(ConfigError, match="not both"):
        method_of("linear", "paper")
    with pytest.raises(ConfigError, match=r"(?s)steps: .*topk: there is no such setting"):
        method_of("relative", None, {"topk": 3, "steps": 0})


def test_directions_are_those_of_the_target_alone():
    """What is not in the target's anchors' span cannot come out."""
    source, target = tiny("bert"), tiny("albert")
    method = Relative(anchors=2, normalise=False)
    moved = transfer([a_prompt(source)], [source], target, method)
    assert torch.linalg.matrix_rank(normalize(moved.vectors)) <= 2
