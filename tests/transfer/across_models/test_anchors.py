"""Which words anchor a transfer."""

import os
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from conftest import tiny
from promptgraft.errors import ConfigError
from promptgraft.transfer.across_models.anchors import choose, shared_anchors, shared_words
from promptgraft.transfer.across_models.words import vocabulary

DATA = os.environ.get("PROMPTGRAFT_DATA")
REAL = Path(DATA).parent / "tokenizers" if DATA else Path("nowhere")
WORDS = [" the", " of", " Paris", " bank", "ing", " zebra"]  # sorted by frequency


def test_shared_are_the_words_that_all_know():
    models = tiny("bert"), tiny("gpt2"), tiny("t5")
    known = [vocabulary(model.tokenizer) for model in models]
    shared = shared_anchors(models)
    assert len(set(shared)) == len(shared)
    assert all(one.find(word) is not None for one in known for word in shared)
    every = {word for one in known for word in one.ids}
    left_out = every - set(shared)
    assert all(any(one.find(word) is None for one in known) for word in left_out)


def test_frequent_words_come_first():
    model = tiny("gpt2")
    ids = vocabulary(model.tokenizer).ids
    shared = shared_anchors([model, model])
    assert [ids[word] for word in shared] == sorted(ids.values())


@pytest.mark.skipif(not REAL.is_dir(), reason="the real tokenizers are not at hand")
def test_the_papers_list_is_shared_by_its_three_models():
    import gzip

    names = ("bert-base-uncased", "roberta-base", "albert-base-v2")
    known = [vocabulary(AutoTokenizer.from_pretrained(REAL / name)) for name in names]
    with gzip.open(Path(DATA) / "lama/meta/common_vocab_cased_be_ro_al.txt.gz", "rt") as lines:
        listed = {" " + line.strip() for line in lines}
    assert listed <= set(shared_words(known))


def test_choose():
    assert choose(WORDS, None) == WORDS
    assert choose(WORDS, 2) == WORDS[:2]
    assert choose(WORDS, 7) == WORDS
    some = choose(WORDS, 3, "random", seed=1)
    assert len(some) == 3
    assert set(some) <= set(WORDS)
    assert some == choose(WORDS, 3, "random", seed=1)
    assert any(some != choose(WORDS, 3, "random", seed) for seed in range(2, 9))
    assert choose(WORDS, ["zebra", " bank", "unknown", "ing"]) == [" bank", " zebra"]


def test_choose_from_a_file(tmp_path):
    file = tmp_path / "words.txt"
    file.write_text("bank\nParis\n")
    assert choose(WORDS, file) == [" Paris", " bank"]


def test_refused(tmp_path):
    with pytest.raises(ConfigError, match="none of the 2 words"):
        choose(WORDS, ["nothing", "here"])
    with pytest.raises(ConfigError, match=r"cannot read the words in .*missing"):
        choose(WORDS, tmp_path / "missing")
