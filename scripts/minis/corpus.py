"""Builds the mixture once and caches it as token arrays, one folder per vocabulary."""

from __future__ import annotations

import json
import random
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from . import sources, vocabularies
from .examples import Example
from .facts import fact_examples, object_words
from .label_tasks import label_examples, label_words
from .polarity import polarity_examples
from .text_tasks import text_examples
from .write_tasks import write_examples

SEED = 20
TEXT_TASK_ROWS = 130_000
LONGEST = 120  # tokens of a row, special tokens not counted
KEPT = Path(__file__).parent / "kept"  # the vocabularies: training breaks ties anew each time
VOCABULARY_OF_GPT2 = "bpe"  # the arrays of bpe/ serve gpt2/ as well


@dataclass(frozen=True)
class Rows:
    """Rows of tokens, end to end: row i is ids[start[i]:start[i + 1]].

    ids     [N]      uint16 tokens
    start   [R + 1]  int64
    answer  [R, 2]   int32, first and one-past-last place of the answer within the row
    kind    [R]      uint8, examples.FACT, LABEL or WRITE
    """

    ids: np.ndarray
    start: np.ndarray
    answer: np.ndarray
    kind: np.ndarray


def mixture(dropped: Counter[str]) -> list[Example]:
    """All rows of all kinds, in a fixed random order."""
    rng = random.Random(SEED)
    rows = fact_examples(rng)
    rows += label_examples(rng, dropped)
    rows += text_examples(rng, dropped, TEXT_TASK_ROWS)
    rows += write_examples(rng, dropped)
    rng.shuffle(rows)
    return rows + polarity_examples(rng, dropped)


def plain_texts(dropped: Counter[str]) -> list[str]:
    """Plain text: training texts twice over, Wikipedia, and books, in a fixed random order."""
    rng = random.Random(SEED + 1)
    texts = 2 * sources.plain_training_texts(dropped)
    texts += 2 * list(sources.wikipedia_paragraphs()) + list(sources.book_paragraphs(every=9))
    rng.shuffle(texts)
    return texts


def encode_rows(rows: list[Example], tokenizer: PreTrainedTokenizerFast) -> Rows:
    """Tokens of before + answer + after, each encoded by itself (they meet at spaces)."""

    def encode(texts: list[str]) -> list[list[int]]:
        return [e.ids for e in tokenizer.backend_tokenizer.encode_batch_fast(
            texts, add_special_tokens=False)]  # fmt: skip

    before = encode([r.before for r in rows])
    answer = encode([r.answer for r in rows])
    after = encode([r.after for r in rows])
    ids: list[int] = []
    start, places, kinds = [0], [], []
    for row, b, a, c in zip(rows, before, answer, after, strict=True):
        if a and len(b) + len(a) + len(c) <= LONGEST:
            ids += b
            ids += a
            ids += c
            start.append(len(ids))
            places.append((len(b), len(b) + len(a)))
            kinds.append(row.kind)
    return Rows(np.array(ids, np.uint16), np.array(start), np.array(places, np.int32),
                np.array(kinds, np.uint8))  # fmt: skip


def encode_plain(texts: list[str], tokenizer: PreTrainedTokenizerFast, end: int) -> np.ndarray:
    """One stream [N] of tokens, with the token `end` after each text."""
    ids: list[int] = []
    for i in range(0, len(texts), 20_000):
        part = texts[i : i + 20_000]
        for code in tokenizer.backend_tokenizer.encode_batch_fast(part, add_special_tokens=False):
            ids += code.ids
            ids.append(end)
    return np.array(ids, np.uint16)


def end_token(tokenizer: PreTrainedTokenizerFast) -> int:
    """What stands between texts: [SEP] or </s>."""
    return tokenizer.sep_token_id if tokenizer.sep_token_id is not None else tokenizer.eos_token_id


def build(folder: Path) -> None:
    """Vocabularies, token arrays and a report of what was dropped, below the folder."""
    dropped: Counter[str] = Counter()
    rows = mixture(dropped)
    plain = plain_texts(dropped)
    held = list(sources.book_paragraphs(every=7, part="validation"))[:1500]
    if KEPT.is_dir():
        shutil.copytree(KEPT, folder, dirs_exist_ok=True)
    elif not (folder / "unigram" / "tokenizer.json").exists():
        sample = plain[::6] + [f"{r.before} {r.answer} {r.after}" for r in rows[::25]]
        vocabularies.train_all(sample, object_words() + label_words(), folder)
    report = {
        "rows": {str(kind): sum(r.kind == kind for r in rows) for kind in range(7)},
        "plain_texts": len(plain),
        "rows_dropped_as_held_out": dict(dropped),
        "mr_rows_in_sst2_evaluation": sources.overlap_with("mr", "sst2"),
        "subj_rows_in_sst2_evaluation": sources.overlap_with("subj", "sst2"),
    }
    (folder / "report.json").write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report), flush=True)
    for name in ("wordpiece", "bpe", "unigram"):
        tokenizer = AutoTokenizer.from_pretrained(folder / name)
        encoded = encode_rows(rows, tokenizer)
        for key in ("ids", "start", "answer", "kind"):
            np.save(folder / name / f"rows_{key}.npy", getattr(encoded, key))
        end = end_token(tokenizer)
        np.save(folder / name / "plain.npy", encode_plain(plain, tokenizer, end))
        np.save(folder / name / "held_out.npy", encode_plain(held, tokenizer, end))
        (folder / name / "held_out.json").write_text(json.dumps(
            {"bytes": sum(len(t.encode()) + 1 for t in held)}))  # fmt: skip
        print(f"{name}: {len(encoded.ids)} row tokens", flush=True)


def is_built(folder: Path) -> bool:
    """Whether `build` came to its end there."""
    return (folder / "unigram" / "held_out.json").exists()


def load_rows(folder: Path) -> Rows:
    """The cached rows of one vocabulary's folder."""
    return Rows(*(np.load(folder / f"rows_{k}.npy") for k in ("ids", "start", "answer", "kind")))
