"""The built-in tasks: what is declared in builtin.yaml, and where its data is.

Three small sets are part of the package. The others, and LAMA's relations as lama/P19 and so on,
are found in the folder that the environment variable PROMPTGRAFT_DATA names: as rows in
<name>/train.jsonl and so on, or as the official files of a published set. So is any other folder
there that holds a training file.
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
from promptgraft.tasks.published import FORMS
from promptgraft.tasks.readers import Source, format_of, read
from promptgraft.tasks.settings import checked, worded

VARIABLE = "PROMPTGRAFT_DATA"
HERE = Path(__file__).parent
SAMPLES = HERE / "samples"


def names() -> dict[str, dict[str, int]]:
    """The tasks whose data is at hand -> split -> number of rows."""
    return {
        name: {split: sum(1 for _ in source()) for split, source in _sources(name, folder).items()}
        for name, folder in _folders().items()
    }


def at_hand() -> list[str]:
    """The tasks whose data is at hand; none of their files is read."""
    return list(_folders())


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
    if not _has_rows(name, folder):
        place["format"] = name
    return declared(name) | place


def declared(name: str) -> dict[str, Any]:
    """The settings of a task but for its data; nothing for a task that is not declared."""
    return checked(_declared().get(name, {}), f"built-in task {name}")


def where_from(name: str) -> str:
    """For an error message: how to get the data of a declared task; nothing for other names."""
    if name not in _declared() and not name.startswith("lama/"):
        return ""
    folder = _declared().get(name, {}).get("data", name)
    place = f"{folder}/train.jsonl.gz" + (" or its official files" if name in FORMS else "")
    hub = _yaml()[".hub"].get(name)
    named = f"hub:{hub} data.format={name}" if hub else "hub:<data set>"
    return (
        f" The data of {name} is not part of the package: set {VARIABLE} to a folder that holds "
        f"{place}, or load it from the hub with {named}."
    )


@cache
def _yaml() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((HERE / "builtin.yaml").read_text("utf-8"))
    return loaded


def _declared() -> dict[str, Any]:
    return {name: value for name, value in _yaml().items() if not name.startswith(".")}


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
        for name, form in FORMS.items():
            if (root / name).is_dir() and form.find(root / name):
                folders[name] = root / name
    for name, own in _declared().items():
        if own.get("data") in folders:
            folders[name] = folders[own["data"]]
    return dict(sorted(folders.items()))


def _sources(name: str, folder: Path) -> dict[str, Source]:
    return folder_sources(folder) if _has_rows(name, folder) else FORMS[name].sources(folder)


def _has_rows(name: str, folder: Path) -> bool:
    """Whether the folder has rows ready for use, rather than the official files of its set."""
    if name not in FORMS:
        return True
    for path in folder.glob("train.*"):
        if format_of(path):
            _, row = next(read(path), ("", {}))
            return "source" in row
    return False


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
