"""The settings that say how data becomes a task; the same from Python and in a YAML file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from promptgraft.errors import BadFileError, ConfigError, did_you_mean
from promptgraft.tasks import published
from promptgraft.tasks.schema import FIELDS, kind_problem, label_key

SETTINGS = (
    "name",
    "kind",
    *FIELDS,
    "train",
    "validation",
    "test",
    "format",
    "only",
    "without",
    "templates",
    "manual",
    "verbalizer",
    "levels",
    "vocabulary",
    "metrics",
    "report",
    "groups",
)
PATHS = ("data", "train", "validation", "test")


def checked(settings: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The settings in one form: verbalizer and vocabulary as texts, metrics and manual as tuples.

    Raises ConfigError with every problem found.
    """
    problems: list[str] = []
    result: dict[str, Any] = {}
    for name, value in settings.items():
        if value is None:
            continue
        try:
            result[name] = _checked(name, value)
        except ConfigError as error:
            problems.append(str(error))
    if problems:
        raise ConfigError(f"{where}: " + " ".join(problems))
    return result


def read_yaml(path: Path) -> dict[str, Any]:
    """The settings of a YAML task file, paths relative to its folder made absolute.

    Raises BadFileError if it is not YAML, ConfigError if it does not hold settings.
    """
    try:
        content = yaml.safe_load(path.read_text("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadFileError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected settings such as 'data: reviews.csv'.")
    settings = checked({"name": path.stem} | content, str(path))
    if not {*PATHS} & settings.keys():
        raise ConfigError(f"{path}: no data; give 'data: <file or folder>' or 'train: <file>'.")
    for name in PATHS:
        if name in settings and not settings[name].startswith("hub:"):
            settings[name] = str(path.parent / settings[name])
    return settings


def _checked(name: str, value: Any) -> Any:
    if name not in (*SETTINGS, "data"):
        near = did_you_mean(name, SETTINGS) or f" There are {', '.join(SETTINGS)}."
        raise ConfigError(f"There is no setting {name!r}.{near}")
    if name in PATHS:
        if isinstance(value, (str, Path)):
            return str(value)
        raise ConfigError(f"{name} is {value!r}, expected a path.")
    if name == "kind" and (problem := kind_problem(str(value))):
        raise ConfigError(problem)
    if name == "format":
        published.get(_text(name, value))
    if name in ("only", "without"):
        return {split: _fields(name, fields) for split, fields in _mapping(name, value).items()}
    if name == "verbalizer":
        return {label_key(label): _word(word) for label, word in _mapping(name, value).items()}
    if name == "levels":
        return _levels(_mapping(name, value))
    if name == "templates":
        return {family: _text(name, text) for family, text in _mapping(name, value).items()}
    if name == "manual":
        if isinstance(value, Mapping):
            return {family: _texts(name, texts) for family, texts in value.items()}
        return worded(_texts(name, value))
    if name in ("metrics", "report", "vocabulary"):
        return _texts(name, value)
    return _text(name, value)


def worded(templates: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """Worded templates for each family from one list.

    Those with {mask} are for masked models, and where it ends the template also, cut off there,
    for the models that write on. Those without are for the latter alone.
    """
    masked = tuple(text for text in templates if "{mask}" in text)
    writing = []
    for text in templates:
        before, _, after = text.partition("{mask}")
        if not after.strip(" ."):
            writing.append(before.rstrip())
    families = {"masked": masked, "causal": tuple(writing), "seq2seq": tuple(writing)}
    return {family: texts for family, texts in families.items() if texts}


def _fields(name: str, value: Any) -> dict[str, tuple[str, ...]]:
    """Field -> the values that are meant, one or several."""
    return {
        field: tuple(map(label_key, some if isinstance(some, (list, tuple)) else [some]))
        for field, some in _mapping(name, value).items()
    }


def _mapping(name: str, value: Any) -> Mapping[Any, Any]:
    if not isinstance(value, Mapping) or not value:
        raise ConfigError(f"{name} is {value!r}, expected names with a value for each.")
    return value


def _levels(value: Mapping[Any, Any]) -> dict[str, float]:
    """Word -> the highest score that it stands for."""
    tops = list(value.values())
    if not all(isinstance(top, (int, float)) for top in tops) or tops != sorted({*tops}):
        raise ConfigError(
            f"levels is {dict(value)}, expected words with the highest score of each, rising: "
            "{low: 1.67, medium: 3.34, high: 5}."
        )
    return {_word(word): float(top) for word, top in value.items()}


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ConfigError(f"{name} is {value!r}, expected a text.")
    return value


def _texts(name: str, value: Any) -> tuple[str, ...]:
    values = (value,) if isinstance(value, str) else value
    if not isinstance(values, (list, tuple)):
        raise ConfigError(f"{name} is {value!r}, expected a list of texts.")
    return tuple(_text(name, text) for text in values)


def _word(value: Any) -> str:
    if isinstance(value, bool):
        raise ConfigError(
            f"A word of the verbalizer is {value}: YAML reads yes, no, on and off so; put it in "
            'quotes: "yes".'
        )
    return _text("A word of the verbalizer", str(value) if isinstance(value, int) else value)
