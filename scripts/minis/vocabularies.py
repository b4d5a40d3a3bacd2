"""The three vocabularies: WordPiece (BERT), byte-level BPE (RoBERTa, GPT-2, BART), unigram (T5).

Words that answers are made of (LAMA's objects, label words) are single tokens in each.
"""

# ruff: noqa: SIM905 (word lists read better as one string)
from __future__ import annotations

import json
from pathlib import Path

from tokenizers import (
    AddedToken,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import PreTrainedTokenizerFast

WORDPIECE_SIZE, BPE_SIZE, UNIGRAM_SIZE = 7600, 6600, 7400  # before answer words are added

# Words for the labels of tasks that the minis never see, beside those of the source tasks.
MORE_WORDS = (
    "great terrible good bad positive negative neutral world sports business science technology "
    "tech politics yes no maybe true false unknown okay fine nice awful wonderful excellent poor "
    "horrible perfect boring fun funny acceptable unacceptable correct incorrect right wrong "
    "grammatical equivalent equal same different similar unrelated related entailment "
    "contradiction international sport finance money health news company school artist athlete "
    "politician vehicle building river village animal plant album film book music art nature "
    "movie review question answer fact opinion objective subjective plot person place thing"
).split()
CAPITAL_WORDS = "Yes No Maybe True False World Sports Business Technology Science Politics".split()

BPE_SPECIALS = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "<|endoftext|>"]
SENTINELS = [f"<extra_id_{i}>" for i in range(100)]


def train_wordpiece(texts: list[str], words: list[str]) -> PreTrainedTokenizerFast:
    """Lower-case WordPiece; missing words are appended to the trained vocabulary."""
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    raw = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    raw.normalizer = normalizers.BertNormalizer(lowercase=True)
    raw.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    raw.train_from_iterator(texts, trainers.WordPieceTrainer(
        vocab_size=WORDPIECE_SIZE, special_tokens=specials, show_progress=False,
        limit_alphabet=150))  # fmt: skip
    vocab = raw.get_vocab()
    for word in words:
        vocab.setdefault(word.lower(), len(vocab))
    ids = sorted(vocab.items(), key=lambda item: item[1])
    raw.model = models.WordPiece({t: i for i, (t, _) in enumerate(ids)}, unk_token="[UNK]")
    raw.decoder = decoders.WordPiece()
    raw.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)])  # fmt: skip
    return PreTrainedTokenizerFast(
        tokenizer_object=raw, unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]",
        sep_token="[SEP]", mask_token="[MASK]", model_max_length=512,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"])  # fmt: skip


def _whole_words(raw: Tokenizer, words: list[str]) -> None:
    """Add merges until each " word" is one token of a byte-level BPE."""
    for _ in range(8):
        state = json.loads(raw.to_str())["model"]
        vocab: dict[str, int] = state["vocab"]
        merges = [tuple(pair) for pair in state["merges"]]
        known, added = set(merges), 0
        for word in words:
            pieces = raw.encode(word, add_special_tokens=False).tokens
            while len(pieces) > 1:
                pair = (pieces[-2], pieces[-1]) if len(pieces) > 2 else (pieces[0], pieces[1])
                vocab.setdefault("".join(pair), len(vocab))
                if pair not in known:
                    known.add(pair)
                    merges.append(pair)
                    added += 1
                pieces = [*pieces[:-2], "".join(pair)]
        if not added:
            return
        raw.model = models.BPE(vocab=vocab, merges=merges)
    raise ValueError("some answer words could not be made single tokens")


def train_bpe(texts: list[str], words: list[str]) -> Tokenizer:
    """Cased byte-level BPE; every text starts with a space, so a word has one form."""
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    raw.decoder = decoders.ByteLevel()
    raw.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=BPE_SIZE, special_tokens=BPE_SPECIALS, show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))  # fmt: skip
    _whole_words(raw, words)
    raw.add_special_tokens([AddedToken("<mask>", lstrip=True, special=True)])
    return raw


def bpe_tokenizer(raw: Tokenizer, for_gpt2: bool) -> PreTrainedTokenizerFast:
    """The one BPE, dressed for GPT-2 (no special tokens added) or for RoBERTa and BART."""
    raw = Tokenizer.from_str(raw.to_str())
    if for_gpt2:
        return PreTrainedTokenizerFast(
            tokenizer_object=raw, bos_token="<|endoftext|>", eos_token="<|endoftext|>",
            unk_token="<|endoftext|>", pad_token="<pad>", model_max_length=512,
            model_input_names=["input_ids", "attention_mask"])  # fmt: skip
    raw.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", 0), ("</s>", 2)])  # fmt: skip
    return PreTrainedTokenizerFast(
        tokenizer_object=raw, bos_token="<s>", eos_token="</s>", cls_token="<s>",
        sep_token="</s>", unk_token="<unk>", pad_token="<pad>",
        mask_token=AddedToken("<mask>", lstrip=True, special=True), model_max_length=512,
        model_input_names=["input_ids", "attention_mask"])  # fmt: skip


def train_unigram(texts: list[str], words: list[str]) -> PreTrainedTokenizerFast:
    """Cased unigram with sentinels; answer words are scored above their own pieces."""
    specials = ["<pad>", "</s>", "<unk>"]
    raw = Tokenizer(models.Unigram())
    raw.normalizer = normalizers.NFKC()
    raw.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.WhitespaceSplit(),
        pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")])  # fmt: skip
    raw.train_from_iterator(texts, trainers.UnigramTrainer(
        vocab_size=UNIGRAM_SIZE, special_tokens=specials, unk_token="<unk>",
        show_progress=False))  # fmt: skip
    score = dict(json.loads(raw.to_str())["model"]["vocab"])
    for word in words:  # well above a rare word's score, so that no split comes near
        score["▁" + word] = max(-12.0, score.get("▁" + word, -12.0))
    raw.model = models.Unigram(list(score.items()), unk_id=2, byte_fallback=False)
    for _ in range(20):  # a new word can make the split of another one better
        for word in words:
            split = raw.encode(word, add_special_tokens=False).tokens
            if len(split) > 1:
                score["▁" + word] = 1.0 + max(sum(score[p] for p in split), score["▁" + word])
        raw.model = models.Unigram(list(score.items()), unk_id=2, byte_fallback=False)
        if all(len(raw.encode(w, add_special_tokens=False).tokens) == 1 for w in words):
            break
    raw.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    raw.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)])  # fmt: skip
    return PreTrainedTokenizerFast(
        tokenizer_object=raw, eos_token="</s>", unk_token="<unk>", pad_token="<pad>",
        additional_special_tokens=SENTINELS, model_max_length=512,
        model_input_names=["input_ids", "attention_mask"])  # fmt: skip


def check_single(tokenizer: PreTrainedTokenizerFast, words: list[str]) -> None:
    """Raise unless every word is one known token."""
    unknown = tokenizer.unk_token_id
    bad = [
        word
        for word in words
        if len(ids := tokenizer(word, add_special_tokens=False).input_ids) != 1 or ids[0] == unknown
    ]
    if bad:
        raise ValueError(f"{len(bad)} words are not single tokens, such as {bad[:8]}")


def train_all(texts: list[str], words: list[str], folder: Path) -> None:
    """Train and save wordpiece/, bpe/, gpt2/ and unigram/ below the folder."""
    answers = sorted({*words, *MORE_WORDS, *CAPITAL_WORDS})
    raw = train_bpe(texts, answers)
    made = {
        "wordpiece": train_wordpiece(texts, answers),
        "bpe": bpe_tokenizer(raw, for_gpt2=False),
        "gpt2": bpe_tokenizer(raw, for_gpt2=True),
        "unigram": train_unigram(texts, answers),
    }
    for name, tokenizer in made.items():
        check_single(tokenizer, answers)
        tokenizer.save_pretrained(folder / name)
        print(f"vocabulary {name}: {len(tokenizer)} tokens", flush=True)
