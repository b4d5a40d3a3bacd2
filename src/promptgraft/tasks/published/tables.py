"""Table to text: E2E, WebNLG 2017 and DART, linearised as in Prefix-Tuning's released files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from promptgraft.errors import DataError
from promptgraft.tasks.published.entries import entries
from promptgraft.tasks.published.form import Form, as_they_are, need, objects
from promptgraft.tasks.readers import Placed, Row, document, read

_E2E_NAMES = {"eatType": "Type", "priceRange": "price", "familyFriendly": "family friendly"}
_E2E_FIELD = r"(\w[\w ]*)\[([^\]]*)\]"

# Categories of WebNLG 2017 that occur in its training set; the test set has five more.
SEEN = (
    "Airport",
    "Astronaut",
    "Building",
    "City",
    "ComicsCharacter",
    "Food",
    "Monument",
    "SportsTeam",
    "University",
    "WrittenWork",
)


def _e2e(place: str, record: Row, training: bool) -> Iterator[Row]:
    """`name[Aromi], eatType[pub]` becomes `name : Aromi | Type : pub`; £20-25 becomes £ 20 - 25."""
    table = need(place, record, "mr", "meaning_representation")
    if not re.fullmatch(rf"{_E2E_FIELD}(,\s*{_E2E_FIELD})*", table):
        raise DataError(f"{place}: expected fields such as name[Aromi], food[French], got {table}")
    fields = []
    for name, value in re.findall(_E2E_FIELD, table):
        value = re.sub(r"£(?=\d)", "£ ", re.sub(r"(?<=\d)-(?=\d)", " - ", value))
        fields.append(f"{_E2E_NAMES.get(name, name)} : {value}")
    text = need(place, record, "ref", "human_reference")
    yield {"source": " | ".join(fields), "references": [text]}


def _webnlg(place: str, record: Row, training: bool) -> Iterator[Row]:
    """` | s : p : o` for every triple, the first one too; in training only texts marked good."""
    triples = _triples(place, record)
    texts = [
        need(place, text, "lex", "text")
        for text in objects(place, need(place, record, "lexicalisations", "lex"))
        if not training or text.get("comment") == "good"
    ]
    category = need(place, record, "category")
    if texts or not training:
        yield {
            "source": "".join(f" | {s} : {p} : {o}" for s, p, o in triples),
            "references": texts,
            "category": category,
            "split_kind": "seen" if category in SEEN else "unseen",
            "n_triples": len(triples),
        }


def _dart(place: str, record: Row, training: bool) -> Iterator[Row]:
    """`s : p : o` joined with ` | `, the relation in lower case."""
    triples = _triples(place, record)
    texts = objects(place, need(place, record, "annotations", "lexicalisations"))
    first = texts[0] if texts else {}
    yield {
        "source": " | ".join(f"{s} : {p.lower()} : {o}" for s, p, o in triples),
        "references": [need(place, text, "text", "lex") for text in texts],
        "category": first.get("source", first.get("comment", "")),
        "n_triples": len(triples),
    }


def _triples(place: str, record: Row) -> list[tuple[str, str, str]]:
    value = need(place, record, "tripleset", "modifiedtripleset", "modified_triple_sets")
    if isinstance(value, dict) and "mtriple_set" in value:  # the hub's
        value = value["mtriple_set"][0] if value["mtriple_set"] else []
    if not isinstance(value, list) or not value:
        raise DataError(f"{place}: no triples.")
    return [_triple(place, item) for item in value]


def _triple(place: str, item: Any) -> tuple[str, str, str]:
    """From "s | p | o", [s, p, o] or an object with subject, property and object."""
    if isinstance(item, dict):
        item = [need(place, item, name) for name in ("subject", "property", "object")]
    parts = item.split(" | ") if isinstance(item, str) else item
    if not isinstance(parts, list) or len(parts) != 3:
        raise DataError(f"{place}: expected subject, property and object, got {item!r}.")
    return parts[0].strip(), parts[1].strip(), parts[2].strip()


def _entries(file: Path, split: str) -> Placed:
    """The entries of an XML file, or of a JSON file of either set."""
    if file.suffix == ".xml":
        yield from entries(file)
        return
    content = document(file)
    if isinstance(content, dict) and isinstance(content.get("entries"), list):  # {"1": {...}}
        content = [next(iter(entry.values()), None) for entry in content["entries"]]
    if not isinstance(content, list):
        raise DataError(f"{file}: expected a list of entries, as in WebNLG's or DART's files.")
    yield from as_they_are(file, content)


def _csv(file: Path, split: str) -> Placed:
    return read(file)


e2e = Form(
    {
        "train": ("trainset.csv",),
        "validation": ("devset.csv",),
        "test": ("testset_w_refs.csv", "testset.csv"),
    },
    _csv,
    _e2e,
    merged=True,
)
webnlg = Form(
    {
        "train": ("train/**/*.xml", "train.json"),
        "validation": ("dev/**/*.xml", "dev.json"),
        "test": ("testdata_with_lex.xml", "test/**/*.xml", "test.json"),
    },
    _entries,
    _webnlg,
)
dart = Form(
    {
        "train": ("dart-*-train.json", "dart-*-train.xml"),
        "validation": ("dart-*-dev.json", "dart-*-dev.xml"),
        "test": ("dart-*-test.json", "dart-*-test.xml"),
    },
    _entries,
    _dart,
)
