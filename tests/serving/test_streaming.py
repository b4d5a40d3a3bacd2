"""Pieces of text: together they are the whole, and none has to be taken back."""

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models
from transformers import PreTrainedTokenizerFast

from conftest import byte_bpe, unigram, word_piece
from promptgraft.serving.streaming import KEPT, WINDOW, TextStream

MOST = 4 * WINDOW  # tokens: the window moves several times


@cache
def byte_fallback():
    """Pieces with a mark for blanks, and a token for every byte of what they lack, as Llama's."""
    words = ["▁", "▁the", "▁film", "▁is", "n", "'t", ".", "▁.", "▁n", "▁'", "ing", "é"]
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *words]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    core = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>", byte_fallback=True))
    core.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
         decoders.Strip(" ", 1, 0)]
    )  # fmt: skip
    names = dict(bos_token="<s>", eos_token="</s>", unk_token="<unk>")
    return PreTrainedTokenizerFast(tokenizer_object=core, **names)


@cache
def cleaning():
    """One that takes blanks away before punctuation and the ends of words."""
    words = [
        "▁do",
        "▁n",
        "'t",
        "▁n't",
        "▁'",
        "▁.",
        "▁,",
        "▁?",
        "▁'s",
        "s",
        "▁the",
        "▁",
        ".",
        "▁'re",
    ]
    core = Tokenizer(models.Unigram([("<unk>", 0.0), *((word, -1.0) for word in words)], unk_id=0))
    core.decoder = decoders.Metaspace()
    return PreTrainedTokenizerFast(
        tokenizer_object=core, unk_token="<unk>", clean_up_tokenization_spaces=True
    )


TOKENIZERS = {
    "byte_bpe": lambda: byte_bpe(False),
    "word_piece": word_piece,
    "unigram": unigram,
    "byte_fallback": byte_fallback,
    "cleaning": cleaning,
}


def pieces(tokenizer, ids, stop=()):
    stream = TextStream(tokenizer, stop)
    shown = []
    for token in ids:
        shown.append(stream.push(token))
        if stream.stopped:
            return shown
    return [*shown, stream.finish()]


@pytest.mark.parametrize("name", TOKENIZERS)
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_the_pieces_are_the_whole(name, data):
    """Of any tokens, half characters and special ones among them."""
    tokenizer = TOKENIZERS[name]()
    ids = data.draw(st.lists(st.integers(0, len(tokenizer) - 1), max_size=MOST))
    whole = tokenizer.decode(ids, skip_special_tokens=True).strip()
    assert "".join(pieces(tokenizer, ids)) == whole


@pytest.mark.parametrize("name", TOKENIZERS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_stop_text_ends_the_whole(name, data):
    tokenizer = TOKENIZERS[name]()
    ids = data.draw(st.lists(st.integers(0, len(tokenizer) - 1), min_size=1, max_size=MOST))
    text = tokenizer.decode(ids, skip_special_tokens=True)
    start = data.draw(st.integers(0, len(text)))
    mark = text[start : start + data.draw(st.integers(1, 4))]
    if not mark or "\ufffd" in text or name == "cleaning":  # else it may come and go meanwhile
        return
    assert "".join(pieces(tokenizer, ids, [mark])) == text[: text.index(mark)].strip()


def test_a_stop_text_may_begin_before_half_a_character():
    """What stands before the bytes that are waited for may be the beginning of it."""
    tokenizer = byte_bpe(False)
    ids = tokenizer.convert_tokens_to_ids(["!", "Â", "¡", "!"])
    assert tokenizer.decode(ids) == "!¡!"
    assert pieces(tokenizer, ids, ["!¡"]) == ["", "", ""]


EMOJI = ["<0xF0>", "<0x9F>", "<0x98>", "<0x80>"]


@pytest.mark.parametrize(
    ("name", "tokens"),
    [
        ("byte_bpe", byte_bpe(False).tokenize("the film is é 😀 great fun . ")),
        ("byte_fallback", ["▁the", "▁film", *EMOJI, "▁is", "▁", "é", *EMOJI, "▁the"]),
    ],
)
def test_little_is_held_back(name, tokens):
    """No more than a character's bytes, and with them the token behind a run of bytes."""
    tokenizer = TOKENIZERS[name]()
    ids = tokenizer.convert_tokens_to_ids(tokens * 10)
    shown = pieces(tokenizer, ids)
    for count in range(1, len(ids)):
        sure = tokenizer.decode(ids[: max(0, count - 4)], skip_special_tokens=True)
        assert "".join(shown[:count]).startswith(sure.rstrip("\ufffd").strip())
    assert not any("\ufffd" in piece for piece in shown)


def test_a_token_costs_the_same_however_long_the_text(monkeypatch):
    tokenizer = byte_bpe(False)
    ids = tokenizer.encode("the film is great fun é , " * 200)
    decoded = 0
    decode = type(tokenizer).decode

    def counting(self, tokens, **more):
        nonlocal decoded
        decoded += len(tokens)
        return decode(self, tokens, **more)

    monkeypatch.setattr(type(tokenizer), "decode", counting)
    pieces(tokenizer, ids)
    assert decoded < len(ids) * (WINDOW + KEPT)
