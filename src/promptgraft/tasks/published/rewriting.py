"""A text in another form: questions (SQuAD), paraphrases (Quora), neutral style (WNC), stories."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from promptgraft.errors import DataError
from promptgraft.tasks.published.form import Form, as_they_are, need
from promptgraft.tasks.published.pairs import STEMS, is_pair, names, pairs
from promptgraft.tasks.readers import Placed, Row, document, lines
from promptgraft.tasks.schema import label_key

_WNC_COLUMNS = ("id", "src_tok", "tgt_tok", "src_raw", "tgt_raw", "src_pos", "src_parse")


def _copied(place: str, record: Row, training: bool) -> Iterator[Row]:
    yield {
        "source": need(place, record, "source", "src_raw", "prompt"),
        "references": [need(place, record, "target", "tgt_raw", "story")],
    }


def _squad(file: Path, split: str) -> Placed:
    """SQuAD's JSON, or the sentences and questions of Du, Shao and Cardie (2017)."""
    return pairs(file) if is_pair(file) else _questions(file)


def _questions(file: Path) -> Placed:
    content = document(file)
    articles = content.get("data") if isinstance(content, dict) else None
    if not isinstance(articles, list):
        raise DataError(f"{file}: expected an object with a list of articles as 'data'.")
    for place, article in as_they_are(file, articles, "article"):
        for paragraph in need(place, article, "paragraphs"):
            context = need(place, paragraph, "context")
            for question in need(place, paragraph, "qas"):
                yield (
                    f"{place}, question {question.get('id', '?')}",
                    {**question, "context": context},
                )


def _question(place: str, record: Row, training: bool) -> Iterator[Row]:
    """`answer [SEP] paragraph` becomes the question; questions without an answer are left out."""
    if "source" in record:
        yield from _copied(place, record, training)
        return
    answers = need(place, record, "answers")
    texts = answers["text"] if isinstance(answers, dict) else [a.get("text") for a in answers]
    if texts:
        context = " ".join(need(place, record, "context").split())
        yield {
            "source": f"{texts[0]} [SEP] {context}",
            "references": [need(place, record, "question").strip()],
        }


def _table(file: Path, header: tuple[str, ...] | None = None) -> Placed:
    """A table with tabs; with a header of its own it may have values in quotes."""
    csv.field_size_limit(2**31 - 1)
    quotes = None if header else '"'
    records = csv.reader(lines(file), delimiter="\t", quotechar=quotes)
    for values in records:
        place = f"{file}, line {records.line_num}"
        if header is None:
            header = tuple(values)
        elif len(values) > len(header) or len(values) < min(5, len(header)):
            raise DataError(f"{place}: {len(values)} values, expected {', '.join(header)}.")
        else:
            yield place, dict(zip(header, values, strict=False))


def _quora_table(file: Path, split: str) -> Placed:
    return _table(file)


def _quora(place: str, record: Row, training: bool) -> Iterator[Row]:
    """The first question becomes the second, for pairs that are marked as duplicates."""
    if label_key(need(place, record, "is_duplicate", "label")) in ("1", "true", "duplicate"):
        yield {
            "source": need(place, record, "question1"),
            "references": [need(place, record, "question2")],
        }


def _wnc(file: Path, split: str) -> Placed:
    """The corpus's table, whose raw texts are taken, or two parallel files."""
    return pairs(file) if is_pair(file) else _table(file, _WNC_COLUMNS)


def _pairs(file: Path, split: str) -> Placed:
    return pairs(file)


squad_qg = Form(
    {
        "train": ("src-train.txt", "train-v*.json"),
        "validation": ("src-dev.txt", "dev-v*.json"),
        "test": ("src-test.txt", "test-v*.json"),
    },
    _squad,
    _question,
    merged=True,
)
quora_paraphrase = Form(
    {
        "train": ("train.tsv", "quora_duplicate_questions.tsv"),
        "validation": ("dev.tsv",),
    },
    _quora_table,
    _quora,
    merged=True,
)
wnc = Form(
    {
        "train": ("biased.word.train", "biased.full.train", "pre.train"),
        "validation": ("biased.word.dev", "biased.full.dev", "pre.dev"),
        "test": ("biased.word.test", "biased.full.test", "pre.test"),
    },
    _wnc,
    _copied,
)
writingprompts = Form(names(STEMS, "{}.wp_source"), _pairs, _copied, merged=True)
