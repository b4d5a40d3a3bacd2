"""Rows to tokens: blanks, special tokens, labels, errors; with every kind of tokenizer."""

from pathlib import Path

import pytest
import torch

from conftest import tiny
from promptgraft import minis
from promptgraft.errors import ConfigError, DataError
from promptgraft.models import IGNORED, Encoded, FrozenModel
from promptgraft.models.encoding import Encoder
from promptgraft.models.loading import load_tokenizer
from promptgraft.models.template import parse

ROW = {"text": "a dull story", "label": "bad"}


def shown(model: FrozenModel, ids: list[int]) -> list[str]:
    """Tokens as their tokenizer writes them, virtual ones as V1, V2, …"""
    names = model.tokenizer.convert_ids_to_tokens
    return [f"V{-token}" if token < 0 else names(token) for token in ids]


def encoded(model: FrozenModel, template: str, answer: str | None = None, length: int = 0, **more):
    answers = None if answer is None else [answer]
    return model.encoder.encode([ROW], parse(template), length, answers, **more)[0]


def read(model: FrozenModel, row: Encoded) -> list[tuple[str, str]]:
    """(token it is predicted from, predicted token) for every label."""
    ids, labels = row.tokens, row.labels
    if row.decoder_tokens:
        ids, labels = row.decoder_tokens, row.decoder_labels
    assert len(ids) == len(labels)
    names = shown(model, ids)
    name = model.tokenizer.convert_ids_to_tokens
    return [(names[n], name(label)) for n, label in enumerate(labels) if label != IGNORED]


BLANKS = {  # template -> tokens by tokenizer kind
    "{text}": ("a Ġdull Ġstory", "a dull story", "▁a ▁dull ▁story"),
    "{prompt}{text}": ("V1 a Ġdull Ġstory", "V1 a dull story", "V1 ▁a ▁dull ▁story"),
    "{prompt} {text}": ("V1 Ġa Ġdull Ġstory", "V1 a dull story", "V1 ▁a ▁dull ▁story"),
    "{text} {prompt} {label}": (
        "a Ġdull Ġstory V1 Ġbad",
        "a dull story V1 bad",
        "▁a ▁dull ▁story V1 ▁bad",
    ),
    "{text} {prompt}{label}": (  # the blank before the slot is the blank between the words
        "a Ġdull Ġstory V1 Ġbad",
        "a dull story V1 bad",
        "▁a ▁dull ▁story V1 ▁bad",
    ),
    "{text}{prompt}{label}": (
        "a Ġdull Ġstory V1 bad",
        "a dull story V1 bad",
        "▁a ▁dull ▁story V1 ▁bad",
    ),
}


@pytest.mark.parametrize("template", BLANKS)
@pytest.mark.parametrize(("column", "kind"), [(0, "gpt2"), (1, "bert"), (2, "t5")])
def test_blanks_stand_where_the_template_has_them(template: str, column: int, kind: str):
    model = tiny(kind)
    if kind == "bert":
        template, expected = f"{template} {{mask}}", f"[CLS] {BLANKS[template][1]} [MASK] [SEP]"
    else:
        expected = BLANKS[template][column] + (" </s>" if kind == "t5" else "")
    row = encoded(model, template, length=1 if "{prompt}" in template else 0)
    assert " ".join(shown(model, row.tokens)) == expected


def test_an_empty_slot_leaves_no_blank_behind():
    model = tiny("gpt2")
    for template in ("{prompt} {text}", "{text}{prompt}", "{text} {prompt}"):
        assert shown(model, encoded(model, template).tokens) == ["a", "Ġdull", "Ġstory"]
    row = encoded(model, "{label} {prompt} {text}")
    assert shown(model, row.tokens) == ["bad", "Ġa", "Ġdull", "Ġstory"]


def test_a_blank_is_not_lost_in_an_empty_piece():
    model, template = tiny("gpt2"), parse("{text} {prompt:1}{none}{prompt:1}{label}")
    row = model.encoder.encode([{**ROW, "none": ""}], template, 2)[0]
    assert shown(model, row.tokens) == ["a", "Ġdull", "Ġstory", "V1", "V2", "Ġbad"]


def test_blanks_around_masks_and_slots_are_no_tokens():
    model = tiny("roberta")
    row = encoded(model, "{text} {prompt:2} {mask} {prompt:1} .", "bad", length=3)
    expected = ["<s>", "a", "Ġdull", "Ġstory", "V1", "V2", "<mask>", "V3", "Ġ.", "</s>"]
    assert shown(model, row.tokens) == expected
    assert read(model, row) == [("<mask>", "Ġbad")]


def test_ends_of_lines_are_kept():
    model = tiny("gpt2")
    row = encoded(model, "{text}\n{target}", "bad", stop=False)
    assert shown(model, row.tokens) == ["a", "Ġdull", "Ġstory", "Ċ"]  # a last label is not read
    assert read(model, row) == [("Ċ", "bad")]
    row = encoded(model, "{text}\n{prompt}\n{label}", length=1)
    assert shown(model, row.tokens) == ["a", "Ġdull", "Ġstory", "Ċ", "V1", "Ċ", "bad"]


TARGETS = {  # template -> (token before the target, first token of the target) for byte-level BPE
    "{prompt} {text}": ("Ġstory", "Ġbad"),
    "{text} {prompt}": ("V1", "Ġbad"),
    "{text} {prompt} {target}": ("V1", "Ġbad"),
    "{text}{prompt}{target}": ("V1", "bad"),
    "{text} => {target}": (">", "Ġbad"),
    "{text} =>{target}": (">", "bad"),
    "{text} =>": (">", "Ġbad"),
    "{text}{target}": ("Ġstory", "bad"),
    "{prompt}{target}": ("V1", "bad"),
}


@pytest.mark.parametrize("template", TARGETS)
def test_blanks_before_a_target(template: str):
    model = tiny("gpt2")
    row = encoded(model, template, "bad", length=1 if "{prompt}" in template else 0)
    last, first = TARGETS[template]
    assert read(model, row) == [(last, first), (first, "</s>")]
    row = encoded(model, template, "bad", 1 if "{prompt}" in template else 0, stop=False)
    assert read(model, row) == [(last, first)]


def test_targets_of_encoder_decoders():
    bart, t5 = tiny("bart"), tiny("t5")
    row = encoded(bart, "{prompt} {text}", "bad", 1)
    assert shown(bart, row.tokens) == ["<s>", "V1", "Ġa", "Ġdull", "Ġstory", "</s>"]
    assert read(bart, row) == [("</s>", "<s>"), ("<s>", "bad"), ("bad", "</s>")]
    row = encoded(t5, "{prompt} {text}", "bad", 1)
    assert shown(t5, row.tokens) == ["V1", "▁a", "▁dull", "▁story", "</s>"]
    assert read(t5, row) == [("<pad>", "▁bad"), ("▁bad", "</s>")]
    row = encoded(bart, "{text} {decoder} So {prompt} {target}", "bad", 1)
    assert shown(bart, row.tokens) == ["<s>", "a", "Ġdull", "Ġstory", "</s>"]
    begin = shown(bart, row.decoder_tokens)
    assert begin[:2] + begin[-2:] == ["</s>", "<s>", "V1", "Ġbad"]
    assert read(bart, row) == [("V1", "Ġbad"), ("Ġbad", "</s>")]
    row = encoded(bart, "{text} {decoder} So", None)
    assert set(row.decoder_labels) == {IGNORED}


def test_to_predict_a_mask_is_labelled_all_the_same():
    model = tiny("bert")
    row = encoded(model, "{text} {mask}")
    assert sum(label != IGNORED for label in row.labels) == 1


def test_the_head_is_what_rows_share():
    model = tiny("gpt2")
    for template, length, head in [
        ("{prompt} {text}", 4, 4),
        ("is {prompt} {text}", 4, 5),
        ("{prompt:1} is {prompt:3} {text}", 4, 5),
        ("{text} {prompt}", 4, 0),
        ("{prompt:2} {text} {prompt:2}", 4, 0),
        ("{prompt} {text}", 0, 0),
        ("{prompt}{target}", 4, 0),  # the target is predicted from the head itself
    ]:
        assert encoded(model, template, "bad", length).head == head, template
    bert = tiny("bert")
    assert encoded(bert, "{prompt} {text} {mask}", "bad", 4).head == 0


def test_the_place_of_a_prefix():
    model = tiny("gpt2")
    for template, place in [
        ("{prompt} {text}", 0),
        ("{text}", 0),
        ("{prompt:9} {text} {prompt}", 0),
        ("{text} {prompt} => {target}", 3),
        ("{text} {prompt:9} => {target}", 3),
        ("{text} {prompt}", 2),  # the last token predicts the first one written
        ("{text} {prompt} {target}", 2),
    ]:
        assert encoded(model, template, "bad", prefix=4).prefix_at == place, template


# Truncation.


@pytest.mark.parametrize("kind", ["gpt2", "bert", "t5", "roberta", "bart"])
def test_only_the_rows_own_words_are_cut(kind: str):
    model = tiny(kind)
    model.encoder.max_length = 24
    masked = model.family == "masked"
    template = parse(
        "is it : {a} or {prompt:3} {b} ?" + (" {mask} ." if masked else " => {target}")
    )
    long, short = "near the river " * 20, "a dull story"
    answer = "good"
    row = model.encoder.encode([{"a": long, "b": short}], template, 3, [answer])[0]
    whole = Encoder(
        model.tokenizer, model.family, model.encoder.decoder_start, model.encoder.eos, 0, 10**6
    ).encode([{"a": long, "b": short}], template, 3, [answer])[0]
    assert len(row.tokens) == 24
    assert row.cut == len(whole.tokens) - 24 > 0
    # what is left is what the row would be with fewer words in the long field
    text = model.tokenizer.decode([t for t in row.tokens if t >= 0], skip_special_tokens=True)
    for kept in ("is it :", "or", "a dull story", "?"):
        assert kept.replace(" ", "") in text.replace(" ", "")
    assert [t for t in row.tokens if t < 0] == [-1, -2, -3]
    assert [t for t in row.labels + row.decoder_labels if t >= 0] == [
        t for t in whole.labels + whole.decoder_labels if t >= 0
    ]
    if masked:
        assert row.tokens[-3:] == whole.tokens[-3:]  # mask, full stop, end
    assert row.tokens[0] == whole.tokens[0]


def test_a_token_that_holds_literal_text_too_is_not_cut():
    model, template = tiny("gpt2"), parse("g{x}")
    row = model.encoder.encode([{"x": "ood film is"}], template)[0]
    assert shown(model, row.tokens) == ["good", "Ġfilm", "Ġis"]
    model.encoder.max_length = 3
    row = model.encoder.encode([{"x": "ood film is"}], template, reserve=2)[0]
    assert shown(model, row.tokens) == ["good"]
    with pytest.raises(DataError, match="1 tokens too long"):
        model.encoder.encode([{"x": "ood film is"}], template, reserve=3)


def test_the_longest_field_is_cut_first():
    model = tiny("gpt2")
    model.encoder.max_length = 10
    rows = [
        {"a": "the film is great fun and the", "b": "the cast"},  # 7 and 2 tokens: 6 and 2 fit
        {"a": "the film is great fun", "b": "the film is great fun"},
    ]
    first, second = model.encoder.encode(rows, parse("{a} or: {b}"), 0, None)
    assert shown(model, first.tokens)[-2:] == ["Ġthe", "Ġcast"]
    text = shown(model, second.tokens)
    assert text[:3] == ["the", "Ġfilm", "Ġis"]
    assert len(text) == 10
    assert first.cut + second.cut > 0


def test_what_cannot_be_cut_is_an_error_that_names_the_row():
    model = tiny("gpt2")
    model.encoder.max_length = 10
    rows = [{"text": "a", "target": "good"}, {"text": "a dull story", "target": "a " * 20}]
    with pytest.raises(DataError, match=r"Row 1: The row is \d+ tokens too long for 10 positions"):
        model.encode(rows, None, "{text}", [row["target"] for row in rows])
    with pytest.raises(DataError, match=r"Row 0: The row is .* too long"):
        model.encoder.encode([ROW], parse("{prompt} {text}"), 11)
    with pytest.raises(DataError, match=r"Row 0: The row is .* too long"):
        model.encoder.encode([ROW], parse("{text}"), 0, None, reserve=7, prefix=4)
    assert model.encoder.encode([ROW], parse("{text}"), 0, None, reserve=6, prefix=3)


def test_the_decoders_side_has_a_length_of_its_own():
    model = tiny("bart")  # 128 positions on either side
    with pytest.raises(DataError, match="too long for 128 positions"):
        model.encode([{"source": "a"}], None, "{source}", ["a " * 200])
    row = model.encode(
        [{"source": "a " * 300, "hint": "a " * 300}],
        None,
        "{source} {decoder} {hint} =>",
        ["good"],
    )[0]
    assert len(row.tokens) == 128
    assert len(row.decoder_tokens) == 128
    long = tiny("t5").encode([{"source": "a"}], None, "{source}", ["a dull story " * 500])[0]
    assert len(long.decoder_tokens) > 1000  # nothing limits T5


def test_cuts_are_counted():
    model = tiny("gpt2")
    model.encoder.max_length = 8
    encoded = model.encode(["the film is great fun and the cast is", "a"], answers=["good", "bad"])
    assert [row.cut > 0 for row in encoded] == [True, False]
    assert model.collate(encoded).cut == encoded[0].cut


# What is refused.


@pytest.mark.parametrize(
    ("kind", "template", "message"),
    [
        ("bert", "{text}", r"needs a \{mask\}"),
        ("bert", "{text} {mask} {target}", r"has a \{target\}; a masked model answers at \{mask\}"),
        ("gpt2", "{text} {mask}", r"has a \{mask\}; a causal model has none"),
        ("t5", "{text} {mask}", r"has a \{mask\}; a seq2seq model has none"),
        ("gpt2", "{text} {decoder}", "seq2seq models only"),
    ],
)
def test_templates_of_another_family(kind: str, template: str, message: str):
    with pytest.raises(ConfigError, match=message):
        encoded(tiny(kind), template)


def test_errors_name_the_row():
    model = tiny("gpt2")
    rows = [{"text": "a"}, {"text": "a", "x": 1}, {"y": 2}]
    with pytest.raises(DataError, match=r"Row 2: .* needs the field 'text'; the row has 'y'"):
        model.encode(rows, None, "{text}")
    prompts = list(torch.zeros(3, 2, 16))
    with pytest.raises(DataError, match="Row 2: "):
        model.encode(rows, prompts, "{prompt} {text}")
    with pytest.raises(DataError, match=r"'not-a-word' is .* tokens .*, a mask holds one"):
        encoded(tiny("bert"), "{text} {mask}", "not-a-word")


# Real tokenizers.


def real_tokenizers() -> list[str]:
    return [
        name
        for name in minis.names()
        if (Path(str(minis.folder(name))) / "tokenizer.json").exists()
    ]


@pytest.mark.parametrize("name", real_tokenizers())
def test_the_tokenizers_of_the_minis(name: str):
    tokenizer = load_tokenizer(name)
    family = (
        "seq2seq" if "bart" in name or "t5" in name else "masked" if "bert" in name else "causal"
    )
    encoder = Encoder(tokenizer, family, 0, tokenizer.eos_token_id, 0, 512)
    word = encoder.word("good")
    assert len(word) == 1
    inside = tokenizer("a good film", add_special_tokens=False)["input_ids"]
    assert word[0] in inside
    end = " {mask} ." if family == "masked" else ""
    row = encoder.encode([{"text": "a good film"}], parse("{prompt:2} {text}" + end), 2)[0]
    text = [token for token in row.tokens if token >= 0]
    assert word[0] in text
    decoded = tokenizer.decode(text, skip_special_tokens=True)
    assert decoded.replace(".", " ").split() == ["a", "good", "film"]
    manual = encoder.encode([{"text": "a good film"}], parse("{text}" + end.removesuffix(" .")))[0]
    plain = tokenizer("a good film" + (f" {tokenizer.mask_token}" if end else ""))["input_ids"]
    if family != "causal":
        assert manual.tokens == plain  # as transformers itself puts special tokens
