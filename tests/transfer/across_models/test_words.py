"""Vocabularies against their own tokenizers: a word is what they cut as one token."""

import os
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from conftest import tiny
from promptgraft.transfer.across_models.anchors import shared_words
from promptgraft.transfer.across_models.words import vocabulary

DATA = os.environ.get("PROMPTGRAFT_DATA")
REAL = Path(DATA).parent / "tokenizers" if DATA else Path("nowhere")
NAMES = ("bert-base-uncased", "albert-base-v2", "roberta-base", "gpt2", "t5")
LIST = "lama/meta/common_vocab_cased_be_ro_al.txt.gz"


@pytest.mark.parametrize("kind", ["bert", "roberta", "gpt2", "t5", "llama", "albert"])
def test_every_word_is_cut_as_its_token_alone(kind):
    tokenizer = tiny(kind).tokenizer
    known = vocabulary(tokenizer)
    assert known.ids
    for word, token in known.ids.items():
        if word.startswith(" ") and word.strip().isalpha():
            assert tokenizer(word, add_special_tokens=False)["input_ids"] == [token], word


def test_marks_are_read_alike():
    piece, byte, unigram = (vocabulary(tiny(k).tokenizer).ids for k in ("bert", "gpt2", "t5"))
    assert {" good", " is"} <= piece.keys() & byte.keys()
    assert " is" in unigram
    assert not any("Ġ" in word or "##" in word or "▁" in word for word in [*piece, *byte, *unigram])


def test_special_tokens_are_no_words():
    for kind in ("bert", "gpt2", "t5"):
        tokenizer = tiny(kind).tokenizer
        assert not vocabulary(tokenizer).ids.keys() & set(tokenizer.all_special_tokens)


def test_a_lower_case_vocabulary_finds_words_in_any_case():
    known = vocabulary(tiny("bert").tokenizer)
    assert known.find(" Good") == known.find(" GOOD") == known.ids[" good"]
    assert known.find(" göod") == known.ids[" good"]  # it strips accents too
    assert vocabulary(tiny("gpt2").tokenizer).find(" GOOD") is None
    assert known.find(" no-such-word") is None


@pytest.mark.skipif(not REAL.is_dir(), reason="the real tokenizers are not at hand")
@pytest.mark.parametrize("name", NAMES)
def test_real_tokenizers_cut_the_papers_words_as_we_say(name):
    """17,230 words: for each, the token we name is what the tokenizer makes of it."""
    import gzip

    tokenizer = AutoTokenizer.from_pretrained(REAL / name)
    known = vocabulary(tokenizer)
    with gzip.open(Path(DATA) / LIST, "rt") as lines:
        words = [" " + line.strip() for line in lines]
    assert len(words) == 17_230
    cut = tokenizer.backend_tokenizer.encode_batch_fast(words, add_special_tokens=False)
    differing = [
        word
        for word, one in zip(words, cut, strict=True)
        if known.find(word) != (one.ids[0] if len(one.ids) == 1 else None)
        and tokenizer.unk_token_id not in one.ids
    ]
    # T5 lacks numbers and rarer words.
    assert sum(known.find(word) is not None for word in words) == (
        11_610 if name == "t5" else 17_230
    )
    # A unigram tokenizer may find that two tokens are likelier than the one it also has.
    assert differing == ([" Its"] if name == "t5" else [])


@pytest.mark.skipif(not REAL.is_dir(), reason="the real tokenizers are not at hand")
def test_what_real_tokenizers_share():
    """As docs/concepts/models.md has it, beside the paper's 17,230."""
    known = [vocabulary(AutoTokenizer.from_pretrained(REAL / name)) for name in NAMES]
    first = shared_words(known[:3])
    assert (len(first), sum(word.startswith(" ") for word in first)) == (25_564, 21_521)
    assert len(shared_words(known)) == 15_259
