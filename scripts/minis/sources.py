"""Where the texts come from: readers, licences in use, and the rows that must stay out.

Everything is read from the folder named by the environment variable PROMPTGRAFT_DATA.
"""

# ruff: noqa: SIM905 (word lists read better as one string)
from __future__ import annotations

import gzip
import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

# Sets whose validation and test rows stand guard: nothing equal to one of them is trained on.
ALL_SETS = (
    "e2e webnlg dart sst2 cola mrpc qqp qnli rte mnli snli stsb scitail paws imdb yelp_polarity "
    "dbpedia14 agnews mr subj sst5 squad_qg quora_paraphrase personachat dailydialog topical_chat "
    "xsum wnc writingprompts reuters_headline"
).split()

# Training rows with their labels or targets.
SOURCE_TASKS = (
    "imdb yelp_polarity mr dbpedia14 snli qqp subj quora_paraphrase squad_qg dailydialog"
).split()

# Training rows as plain text, without label, instruction or table.
PLAIN_SETS = (
    "agnews sst2 mr subj imdb yelp_polarity dbpedia14 snli mnli qqp squad_qg dailydialog "
    "topical_chat e2e dart"
).split()

# Keys that hold text a model could read; a target is what a generator writes.
TEXT_KEYS = ("text", "text_a", "text_b", "source", "target")

# Sets whose `source` is a table, so that only the target is plain text.
TABLE_SETS = {"e2e", "dart", "webnlg"}


def data_folder() -> Path:
    """The folder with the data sets; one clear error if it is not set."""
    name = os.environ.get("PROMPTGRAFT_DATA")
    if not name or not Path(name).is_dir():
        raise SystemExit(f"PROMPTGRAFT_DATA must name the data folder; it is {name!r}.")
    return Path(name)


def read_rows(*parts: str) -> list[dict]:
    """The rows of a gzipped JSONL file below the data folder; [] if there is none."""
    path = data_folder().joinpath(*parts)
    if not path.exists():
        return []
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def normal_form(text: str) -> str:
    """Letters and digits only, lower case: how two texts are compared."""
    return re.sub(r"[^a-z0-9]", "", text.lower())


def row_texts(row: dict) -> Iterator[str]:
    """Every text of a row, references included."""
    for key in TEXT_KEYS:
        if key in row:
            yield row[key]
    yield from row.get("references", [])


@lru_cache(maxsize=1)
def held_out() -> frozenset[str]:
    """Normal forms of every text of every validation and test row.

    Texts of fewer than 12 letters ("what is it ?") occur everywhere and are not counted.
    """
    forms: set[str] = set()
    for name in ALL_SETS:
        for path in sorted((data_folder() / name).glob("*.jsonl.gz")):
            if not path.name.startswith("train"):
                for row in read_rows(name, path.name):
                    forms.update(f for f in map(normal_form, row_texts(row)) if len(f) >= 12)
    return frozenset(forms)


@lru_cache(maxsize=len(ALL_SETS))
def _kept_rows(name: str) -> tuple[list[dict], int]:
    rows = read_rows(name, "train.jsonl.gz")
    kept = [r for r in rows if not any(normal_form(t) in held_out() for t in row_texts(r))]
    return kept, len(rows) - len(kept)


def training_rows(name: str, dropped: Counter[str]) -> list[dict]:
    """Training rows none of whose texts equals a held-out text; notes how many were dropped."""
    kept, dropped[name] = _kept_rows(name)
    return kept


def overlap_with(name: str, other: str) -> int:
    """How many training rows of a set equal a validation or test text of another one."""
    guarded = {
        normal_form(text)
        for split in ("validation", "test")
        for row in read_rows(other, f"{split}.jsonl.gz")
        for text in row_texts(row)
    }
    rows = read_rows(name, "train.jsonl.gz")
    return sum(any(normal_form(t) in guarded for t in row_texts(row)) for row in rows)


def plain_training_texts(dropped: Counter[str]) -> list[str]:
    """Distinct texts of the training rows of PLAIN_SETS, without labels or tables."""
    texts: dict[str, None] = {}
    for name in PLAIN_SETS:
        for row in training_rows(name, dropped):
            for key in TEXT_KEYS:
                if key in row and not (key == "source" and name in TABLE_SETS):
                    texts.setdefault(row[key].replace(" [SEP] ", " "))
    return list(texts)


def book_paragraphs(every: int, part: str = "train-*") -> Iterator[str]:
    """Each `every`-th paragraph (a line of at least 8 words) of the books."""
    count = 0
    for path in sorted((data_folder() / "corpus" / "books").glob(f"{part}.txt.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                if len(line.split()) >= 8:
                    count += 1
                    if count % every == 0 and normal_form(line) not in held_out():
                        yield line.strip()


def wikipedia_paragraphs() -> Iterator[str]:
    """Paragraphs of WikiText-2 (validation and test files), unknown words left out."""
    for part in ("validation", "test"):
        path = data_folder() / "corpus" / "wikitext2" / f"{part}.txt.gz"
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                text = " ".join(line.replace("<unk>", "").replace(" @-@ ", "-").split())
                if not text.startswith("=") and len(text.split()) >= 8:
                    yield text
