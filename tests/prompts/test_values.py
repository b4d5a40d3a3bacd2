"""Soft prompts and prefixes are values: checked, immutable, equal by content."""

import copy
import hashlib
import pickle
import struct

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from promptgraft.errors import PromptgraftError, WrongModelError
from promptgraft.prompts import (
    ModelReference,
    Prefix,
    PromptCard,
    SoftPrompt,
    concat,
    mix,
)

D = 6
BASE = ModelReference(
    name="m", fingerprint="ab", tokenizer_hash="cd", family="causal", embedding_size=D
)
OTHER = BASE.model_copy(update={"name": "other", "fingerprint": "ef"})


def soft_of(rows: list[list[float]], base: ModelReference = BASE, **fields) -> SoftPrompt:
    card = PromptCard(kind="soft-prompt", length=len(rows), base=base, **fields)
    return SoftPrompt(torch.tensor(rows), card)


# Construction


def test_a_prompt_holds_float32_on_the_cpu(card):
    given = torch.randn(5, D, dtype=torch.bfloat16, requires_grad=True)
    prompt = SoftPrompt(given, card("soft-prompt", 5))
    assert (prompt.dtype, prompt.device.type, len(prompt)) == (torch.float32, "cpu", 5)
    assert not prompt.vectors.requires_grad
    assert torch.equal(prompt.vectors.bfloat16(), given)


def test_a_view_that_is_not_contiguous(card):
    given = torch.randn(D, 5).T
    prompt = SoftPrompt(given, card("soft-prompt", 5))
    assert prompt.vectors.is_contiguous()
    assert torch.equal(prompt.vectors, given)


def test_sites_come_in_one_order(prefix):
    given = prefix()
    assert list(given.sites) == ["encoder", "decoder", "cross"]
    other = Prefix(dict(reversed(given.sites.items())), given.card)
    assert list(other.sites) == ["encoder", "decoder", "cross"]
    assert other == given


@pytest.mark.parametrize(
    ("shape", "length", "message"),
    [
        ((5,), 5, "soft prompt of shape [5]; expected [P, D]."),
        ((1, 5, D), 5, "soft prompt of shape [1, 5, 6]; expected [P, D]."),
        ((0, D), 1, "soft prompt of shape [0, 6]; expected [P, D]."),
        ((5, 7), 5, "soft prompt with 7-dimensional virtual tokens; m takes 6."),
        (
            (5, D),
            4,
            "the card is for a soft-prompt of 4 virtual tokens, "
            "the tensors are a soft-prompt of 5.",
        ),
    ],
)
def test_wrong_shapes_of_soft_prompts(shape, length, message):
    with pytest.raises(PromptgraftError) as caught:
        SoftPrompt(torch.zeros(shape), PromptCard(kind="soft-prompt", length=length, base=BASE))
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("family", "shapes", "message"),
    [
        ("causal", {}, "attention sites []; a causal model has ['self']"),
        ("causal", {"cross": (3, 2, 5, 2, 4)}, "['cross']; a causal model has ['self']"),
        ("seq2seq", {"self": (3, 2, 5, 2, 4)}, "has ['encoder', 'decoder', 'cross']"),
        ("masked", {"self": (3, 2, 5, 8)}, "'self' of shape [3, 2, 5, 8]; expected [L, 2, P,"),
        ("masked", {"self": (3, 1, 5, 2, 4)}, "'self' of shape [3, 1, 5, 2, 4]; expected"),
        ("masked", {"self": (0, 2, 5, 2, 4)}, "'self' of shape [0, 2, 5, 2, 4]; expected"),
        (
            "seq2seq",
            {"encoder": (3, 2, 5, 2, 4), "cross": (3, 2, 4, 2, 4)},
            "per site: {'encoder': 5, 'cross': 4}; expected the same P",
        ),
    ],
)
def test_wrong_shapes_of_prefixes(card, family, shapes, message):
    sites = {name: torch.zeros(shape) for name, shape in shapes.items()}
    with pytest.raises(PromptgraftError) as caught:
        Prefix(sites, card("prefix", 5, family))
    assert message in str(caught.value)


def test_a_card_of_the_other_kind(soft, prefix):
    with pytest.raises(PromptgraftError, match=r"card is for a prefix of 5 .* are a soft-prompt"):
        SoftPrompt(soft().vectors, prefix().card)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_are_none(soft, prefix, bad):
    vectors, sites = soft().vectors, prefix().sites
    vectors[1, 2] = bad
    sites["cross"][0, 1, 2, 0, 3] = bad
    with pytest.raises(PromptgraftError, match="'input': 1 of 30 numbers are NaN or infinite"):
        SoftPrompt(vectors, soft().card)
    with pytest.raises(PromptgraftError, match="'cross': 1 of 160 numbers"):
        Prefix(sites, prefix().card)


def test_numbers_too_large_for_float32(soft):
    vectors = soft().vectors.double() * 1e300
    with pytest.raises(PromptgraftError, match=r"30 of 30 numbers .* as float32"):
        SoftPrompt(vectors, soft().card)


def test_whole_numbers_are_refused(soft):
    with pytest.raises(PromptgraftError, match="is int64; expected floating"):
        SoftPrompt(torch.zeros(5, D, dtype=torch.int64), soft().card)


# Immutability


def test_nothing_that_is_handed_in_or_out_can_change_a_prompt(make):
    prompt = make()
    before = copy.deepcopy(prompt)
    for tensor in prompt.tensors().values():
        tensor.zero_()
    prompt.tensors().clear()
    assert prompt == before
    for name, tensor in before.tensors().items():
        assert torch.equal(prompt.tensors()[name], tensor)

    given = prompt.tensors()
    again = (
        SoftPrompt(given["input"], prompt.card)
        if isinstance(prompt, SoftPrompt)
        else Prefix(given, prompt.card)
    )
    for tensor in given.values():
        tensor.zero_()
    given.clear()
    assert again == prompt
    assert again.content_hash == before.content_hash


def test_attributes_cannot_be_set(make):
    prompt = make()
    for name in ("card", "vectors", "sites", "_tensors", "anything"):
        with pytest.raises(AttributeError, match=f"immutable; '{name}' cannot be set"):
            setattr(prompt, name, None)
    with pytest.raises(AttributeError, match="immutable"):
        del prompt.card


def test_prompts_travel_between_processes(make):
    prompt = make()
    there = pickle.loads(pickle.dumps(prompt))
    assert there == prompt
    assert there.card == prompt.card


# Equality, hash, moves


def test_equality_is_by_content_and_not_by_card(make):
    prompt = make(draw=1)
    assert prompt == make(draw=1, notes="another card")
    assert prompt != make(draw=2)
    assert prompt != make(length=4, draw=1)
    assert prompt != "a prompt"
    assert len({prompt, make(draw=1, notes="x"), make(draw=2)}) == 2


def test_kinds_and_shapes_are_not_confused():
    two, three = soft_of([[0.0] * D] * 2), soft_of([[0.0] * D] * 3)
    assert two != three
    card = PromptCard(kind="prefix", length=2, base=BASE)
    wide, deep = torch.zeros(1, 2, 2, 3, 1), torch.zeros(1, 2, 2, 1, 3)
    assert Prefix({"self": wide}, card) != Prefix({"self": deep}, card)
    assert Prefix({"self": wide}, card) != two


def test_equality_is_bit_for_bit():
    assert soft_of([[0.0] * D]) != soft_of([[-0.0] * D])


def test_content_hash_by_hand():
    rows = [[0.5, -1.0, 3.25, 0.0, 1e-3, 7.0]]
    numbers = b"".join(struct.pack("<f", number) for number in rows[0])
    expected = hashlib.sha256(b"soft-prompt\ninput [1, 6]\n" + numbers).hexdigest()
    assert soft_of(rows).content_hash == expected


def test_moves(make):
    prompt = make()
    double = prompt.to(dtype=torch.float64)
    assert double.dtype == torch.float64
    assert double == prompt  # nothing was rounded
    half = prompt.to("cpu", torch.bfloat16)
    assert half.dtype == torch.bfloat16
    assert half != prompt
    for name, tensor in prompt.tensors().items():
        assert torch.equal(half.tensors()[name], tensor.bfloat16())
    assert half.to(dtype=torch.float32) == half
    assert prompt.to("cpu") == prompt
    with pytest.raises(PromptgraftError, match=r"cannot be torch\.int8"):
        prompt.to(dtype=torch.int8)


def test_moves_that_overflow(soft):
    large = SoftPrompt(soft().vectors * 1e30, soft().card)
    with pytest.raises(PromptgraftError, match="NaN or infinite as float16"):
        large.to(dtype=torch.float16)


def test_with_card(make):
    prompt = make()
    noted = prompt.with_card(prompt.card.model_copy(update={"notes": "mine"}))
    assert noted == prompt
    assert noted.card.notes == "mine"
    with pytest.raises(PromptgraftError, match="card is for"):
        prompt.with_card(make(length=3).card)


# Slices, concatenations, mixtures, against literal loops over lists

rows_of = st.lists(
    st.lists(st.floats(-100, 100, width=32), min_size=D, max_size=D), min_size=1, max_size=7
)
ends = st.none() | st.integers(-9, 9)
quick = settings(max_examples=60, deadline=None)


@quick
@given(rows_of, ends, ends, st.sampled_from([None, 1, 2, -1]))
def test_slices(rows, start, stop, step):
    kept = []
    for index in range(*slice(start, stop, step).indices(len(rows))):
        kept.append(rows[index])
    if kept:
        part = soft_of(rows)[start:stop:step]
        assert part == soft_of(kept)
        assert len(part) == part.card.length == len(kept)
    else:
        with pytest.raises(PromptgraftError, match="at least one"):
            soft_of(rows)[start:stop:step]


@quick
@given(st.lists(rows_of, min_size=1, max_size=4))
def test_concatenations(many):
    together = []
    for rows in many:
        for row in rows:
            together.append(row)
    assert concat(*map(soft_of, many)) == soft_of(together)


@quick
@given(rows_of, st.data())
def test_a_prompt_cut_in_two_and_joined_is_itself(rows, data):
    prompt = soft_of(rows + rows)
    cut = data.draw(st.integers(1, len(prompt) - 1))
    assert concat(prompt[:cut], prompt[cut:]) == prompt


@quick
@given(st.integers(1, 4), st.integers(1, 5), st.data())
def test_mixtures(count, length, data):
    number = st.floats(-10, 10, width=32)
    shaped = st.lists(st.lists(number, min_size=D, max_size=D), min_size=length, max_size=length)
    many = [data.draw(shaped) for _ in range(count)]
    weights = [data.draw(number) for _ in range(count)]
    mixed = mix([soft_of(rows) for rows in many], weights).vectors
    for p in range(length):
        for d in range(D):
            total = 0.0
            for rows, weight in zip(many, weights, strict=True):
                total += weight * rows[p][d]
            assert mixed[p, d].item() == pytest.approx(total, rel=1e-5, abs=1e-4)


def test_the_same_for_prefixes(prefix):
    one, two = prefix(5, draw=1), prefix(5, draw=2)
    longer, mixed = concat(one, two[1:3]), mix([one, two], torch.tensor([0.25, 2.0]))
    assert (len(longer), len(mixed)) == (7, 5)
    for name, tensor in one.sites.items():
        other = two.sites[name]
        for token in range(7):
            from_which = tensor[:, :, token] if token < 5 else other[:, :, token - 4]
            assert torch.equal(longer.sites[name][:, :, token], from_which)
        torch.testing.assert_close(mixed.sites[name], 0.25 * tensor + 2 * other)


def test_lineage_of_derived_prompts(make):
    one = make(draw=1, task="sst2", licence="MIT", metrics={"validation.accuracy": 0.9})
    two = make(draw=2, task="mr", licence="MIT")
    mixed = mix([one, two], [0.5, 0.5])
    assert (mixed.card.task, mixed.card.licence, mixed.card.metrics) == (None, "MIT", {})
    assert (mixed.card.method, mixed.card.hyperparameters) == ("mix", {"weights": [0.5, 0.5]})
    assert [(p.name, p.content_hash, p.relation) for p in mixed.card.parents] == [
        (prompt.card.title, prompt.content_hash, "mixed-from") for prompt in (one, two)
    ]
    part = one[1:4]
    assert part.card.hyperparameters == {"tokens": [1, 2, 3]}
    assert part.card.task == "sst2"
    assert part.card.parents[0].relation == "sliced-from"
    assert concat(one, two).card.parents[1].relation == "concatenated-from"


def test_what_does_not_fit_together(soft, prefix):
    one = soft_of([[1.0] * D])
    with pytest.raises(PromptgraftError, match=r"cannot mix .* with .* expected the same kind and"):
        mix([one, soft_of([[1.0] * D] * 2)], [1, 1])
    with pytest.raises(PromptgraftError, match=r"cannot concat a soft-prompt .* with a prefix"):
        concat(soft(), prefix())
    with pytest.raises(PromptgraftError, match="mix of 2 prompts with 1 weights"):
        mix([one, one], [1])
    with pytest.raises(PromptgraftError, match="at least one"):
        concat()
    with pytest.raises(PromptgraftError, match="at least one"):
        mix([], [])
    foreign = soft_of([[1.0] * D], base=OTHER, task="sst2")
    for verb in (lambda: concat(one, foreign), lambda: mix([one, foreign], [1, 1])):
        with pytest.raises(WrongModelError, match="promptgraft transfer sst2@other --to m"):
            verb()


def test_a_copy_of_the_model_under_another_name_fits():
    renamed = BASE.model_copy(update={"name": "/models/m"})
    assert len(concat(soft_of([[1.0] * D]), soft_of([[2.0] * D], base=renamed))) == 2


def test_single_tokens_are_slices_too(soft):
    with pytest.raises(TypeError, match=r"slices such as prompt\[2:5\], not prompt\[3\]"):
        soft()[3]
