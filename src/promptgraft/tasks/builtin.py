"""The built-in tasks: what is declared in builtin.yaml, and where its data is.

Three small sets are part of the package. The others, and LAMA's relations as lama/P19 and so on,
are found in the folder that the environment variable PROMPTGRAFT_DATA names; so is any other
folder there that holds a training file.
"""

from __future__ import annotations

import gzip
import os
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from promptgraft.errors import DataError
from promptgraft.tasks.files import folder_sources
from promptgraft.tasks.readers import format_of, read
from promptgraft.tasks.settings import checked, worded

VARIABLE = "PROMPTGRAFT_DATA"
HERE = Path(__file__).parent
SAMPLES = HERE / "samples"


def names() -> dict[str, dict[str, int]]:
    """The tasks whose data is at hand -> split -> number of rows."""
    return {
        name: {split: sum(1 for _ in source()) for split, source in folder_sources(folder).items()}
        for name, folder in _folders().items()
    }


def listed() -> list[str]:
    """The tasks whose data is at hand; LAMA as one name."""
    folders = _folders()
    short = [name for name in folders if not name.startswith("lama/")]
    return short + (["lama/P…"] if len(short) < len(folders) else [])


def known(name: str) -> bool:
    """Whether this is a built-in task whose data is at hand."""
    return name in _folders()


def settings(name: str) -> dict[str, Any]:
    """The settings of a task whose data is at hand, `data` among them."""
    folder = _folders()[name]
    place = {"name": name, "data": str(folder)}
    if name.startswith("lama/"):
        return place | _lama(folder)
    return place | checked(_declared().get(name, {}), f"built-in task {name}")


def where_from(name: str) -> str:
    """For an error message: how to get the data of a declared task; nothing for other names."""
    if name not in _declared() and not name.startswith("lama/"):
        return ""
    return (
        f" The data of {name} is not part of the package: set {VARIABLE} to a folder that holds "
        f"{name}/train.jsonl.gz, or load it from the hub with hub:<data set>."
    )


@cache
def _declared() -> dict[str, Any]:
    declared = yaml.safe_load((HERE / "builtin.yaml").read_text("utf-8"))
    return {name: value for name, value in declared.items() if not name.startswith(".")}


def _folders() -> dict[str, Path]:
    """Name -> folder of every set at hand; the data folder comes before the package."""
    folders = {folder.name: folder for folder in sorted(SAMPLES.iterdir()) if folder.is_dir()}
    data = os.environ.get(VARIABLE)
    if data:
        root = Path(data).resolve()  # a task may be read from elsewhere later
        if not root.is_dir():
            raise DataError(f"{VARIABLE} is {data}, which is not a folder. Correct it or unset it.")
        for path in sorted((*root.glob("*/train.*"), *root.glob("lama/P*/train.*"))):
            if format_of(path):
                folders[path.parent.relative_to(root).as_posix()] = path.parent
    return dict(sorted(folders.items()))


def _lama(folder: Path) -> dict[str, Any]:
    """A relation of LAMA, with its manual template and the vocabulary its objects are from."""
    meta = folder.parent / "meta"
    result: dict[str, Any] = {"kind": "cloze"}
    words = meta / "common_vocab_cased.txt.gz"
    if words.is_file():
        result["vocabulary"] = _words(words)
    relations = meta / "LAMA_relations.jsonl.gz"
    if relations.is_file():
        templates = {row["relation"]: row["template"] for _, row in read(relations)}
        if folder.name in templates:
            wording = templates[folder.name].replace("[X]", "{sub_label}").replace("[Y]", "{mask}")
            result["manual"] = worded((wording,))
    return result


@cache
def _words(path: Path) -> tuple[str, ...]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return tuple(line.strip() for line in file)
