"""News: summaries and headlines (XSUM, CNN/Daily Mail, Multi-News, MSNews, Gigaword, NEWSROOM)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from promptgraft.errors import DataError
from promptgraft.tasks.published.form import Form, need
from promptgraft.tasks.published.pairs import STEMS, is_pair, names, pairs
from promptgraft.tasks.readers import Placed, Row, document, lines, read

_XSUM_PART = re.compile(r"\[(?:SN|XSUM)\]([\w-]+)\[(?:SN|XSUM)\]")
_XSUM_LIST = "XSum-TRAINING-DEV-TEST-SPLIT-*.json"


def _article(*keys: tuple[str, ...]) -> Callable[[str, Row, bool], Iterator[Row]]:
    """Rows from records whose article and summary have one of these names; one line each."""
    sources, targets = keys

    def rows(place: str, record: Row, training: bool) -> Iterator[Row]:
        source = " ".join(need(place, record, *sources).split())
        target = " ".join(need(place, record, *targets).split())
        rest = {name: record[name] for name in ("id", "category") if record.get(name)}
        yield {"source": source, "references": [target], **rest}

    return rows


def _lines_or_table(file: Path, split: str) -> Placed:
    """Two parallel files, CNN/Daily Mail's single stories, or a table with named columns."""
    if is_pair(file):
        return pairs(file)
    if file.suffix == ".story":
        return iter([_story(file)])
    return read(file)


def _story(file: Path) -> tuple[str, Row]:
    """An article of CNN/Daily Mail, with its highlights as the summary."""
    article, *highlights = "".join(lines(file)).split("@highlight")
    return str(file), {"article": article, "highlights": " ".join(highlights)}


def _xsum(file: Path, split: str) -> Placed:
    """Parallel files, a table, or the list of splits with the articles as .summary files."""
    return _summaries(file, split) if file.suffix == ".json" else _lines_or_table(file, split)


def _summaries(file: Path, split: str) -> Placed:
    names = document(file).get(split)
    if not isinstance(names, list):
        raise DataError(f"{file}: no list of articles for {split}.")
    found = {path.stem: path for path in file.parent.rglob("*.summary")}
    for name in names:
        if str(name) not in found:
            raise DataError(
                f"{file}: article {name} has no file {name}.summary below {file.parent}."
            )
        yield _summary(found[str(name)])


def _summary(file: Path) -> tuple[str, Row]:
    """[SN]URL[SN] … [SN]FIRST-SENTENCE[SN] … [SN]RESTBODY[SN] …, one file for an article."""
    _, *parts = _XSUM_PART.split("".join(lines(file)))
    record: Row = dict(zip(parts[::2], parts[1::2], strict=True))
    record["category"] = category(record.get("URL", ""))
    return str(file), {**record, "id": file.stem}


def category(address: str) -> str:
    """The section of a BBC address: "sport", "business", "uk"; "" if it tells none.

    .../sport/football/123 is sport, .../news/uk-scotland-123 uk, .../news/health-123 health.
    """
    found = re.search(r"bbc\.co(?:\.uk|m)/(?:news/)?([a-z_]+)", address)
    return found[1] if found else ""


def _parallel(*more: str) -> dict[str, tuple[str, ...]]:
    return names(STEMS, "{}.source", "{}.src", "{}.src.*", "{}.article.txt", *more)


def _newsroom(rows: Callable[[str, Row, bool], Iterable[Row]]) -> Form:
    return Form(names(STEMS, "{}.jsonl.gz", "{}.jsonl", "{}.source"), _lines_or_table, rows)


xsum = Form(
    {
        split: (*patterns, _XSUM_LIST)
        for split, patterns in _parallel("{}.jsonl", "{}.jsonl.gz", "{}.csv").items()
    },
    _xsum,
    _article(
        ("source", "document", "RESTBODY"), ("target", "summary", "FIRST-SENTENCE", "INTRODUCTION")
    ),
)
cnn_dailymail = Form(
    _parallel("{}.csv", "{}.jsonl", "{}/**/*.story"),
    _lines_or_table,
    _article(("source", "article"), ("target", "highlights")),
)
multi_news = Form(
    _parallel(),
    _lines_or_table,
    _article(("source", "document"), ("target", "summary")),
)
msnews = Form(_parallel(), _lines_or_table, _article(("source",), ("target",)))
gigaword = Form(
    _parallel(),
    _lines_or_table,
    _article(("source", "document"), ("target", "summary")),
)
newsroom = _newsroom(_article(("source", "text"), ("target", "summary")))
newsroom_headline = _newsroom(_article(("source", "text"), ("target", "title")))
