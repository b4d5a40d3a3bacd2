"""The XML of WebNLG, which DART uses too: entries of triples and texts, with their lines."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from promptgraft.errors import DataError
from promptgraft.tasks.readers import Placed


def entries(path: Path) -> Placed:
    """Every `entry` in the shape that it has in the sets' JSON files, with the line it begins on.

    Raises DataError with file and line for what is not XML.
    """
    builder, parser = TreeBuilder(), expat.ParserCreate()
    found: list[tuple[int, Element]] = []

    def start(name: str, attributes: dict[str, Any]) -> None:
        element = builder.start(name, attributes)
        if name == "entry":
            found.append((parser.CurrentLineNumber, element))

    parser.StartElementHandler = start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(path.read_bytes(), True)
    except expat.ExpatError as error:
        message = expat.ErrorString(error.code)
        raise DataError(f"{path}, line {error.lineno}: not XML ({message}).") from None
    for line, element in found:
        yield f"{path}, line {line}", _record(element)


def _record(entry: Element) -> dict[str, Any]:
    triples = [
        (triple.text or "").strip() for triple in entry.iterfind("modifiedtripleset/mtriple")
    ]
    texts = [
        {"comment": text.get("comment"), "lex": (text.text or "").strip()}
        for text in entry.iterfind("lex")
    ]
    return {
        "category": entry.get("category"),
        "modifiedtripleset": triples,
        "lexicalisations": texts,
    }
