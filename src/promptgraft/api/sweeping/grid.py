"""The jobs of a sweep: every combination of the values that its grid lists."""

import copy
import hashlib
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from promptgraft import tasks
from promptgraft.api.config import TuneConfig
from promptgraft.api.joint import JointConfig
from promptgraft.api.running import kind_of
from promptgraft.errors import ConfigError, DataError
from promptgraft.library import names
from promptgraft.tasks.sampling import data_hash
from promptgraft.training.config import problem, put
from promptgraft.training.described import Described

OWN = ("out", "tag")  # what every job of a sweep gets from it


class SweepConfig(Described):
    """What a sweep's file holds."""

    base: dict[str, Any] = Field(default_factory=dict)
    """The settings that all jobs have, as `tune` takes them."""
    grid: dict[str, Annotated[list[Any], Field(min_length=1)]] = Field(min_length=1)
    """The values to combine, by setting; data.text is the entry `text` of `data`. A value that
    needs settings of its own is a mapping of all of them: {method: crosspt, pool: glue/*}."""


@dataclass(frozen=True)
class Job:
    """One run of a sweep.

    point   what the grid chose for it
    config  all of its settings, with a folder and a tag of its own
    """

    point: Mapping[str, Any]
    config: TuneConfig

    @property
    def name(self) -> str:
        """`task=sst2 seed=1`."""
        return " ".join(f"{key}={shown(value)}" for key, value in self.point.items())

    @property
    def folder(self) -> Path:
        return self.config.folder()

    @property
    def done(self) -> bool:
        """Whether its results are there."""
        return (self.folder / "results.json").is_file()

    @property
    def model(self) -> tuple[str, str, str, int | None]:
        """What decides which frozen model it needs."""
        config = self.config
        return config.model, config.device, config.dtype, config.max_length

    def pack(self) -> dict[str, Any]:
        """Its settings as JSON has them, for another process."""
        return self.config.model_dump(mode="json", exclude_unset=True)


def unpack(settings: Mapping[str, Any]) -> Job:
    """The job that was packed; nobody asks it for its name any more."""
    return Job({}, kind_of(settings).model_validate(settings))


def jobs(sweep: SweepConfig, folder: Path) -> list[Job]:
    """Every combination, the last key of the grid changing fastest; their runs go into `folder`.

    A job's folder and tag name its settings and its rows, so that another sweep finds it when it
    asks for the same. Raises ConfigError with everything that is wrong, data that cannot be read
    among it.
    """
    folder = folder.resolve()
    names.check(f"task@model:{folder.name}")  # a part of the tags
    found: dict[str, Job] = {}
    read: dict[str, list[str]] = {}  # what was read already
    wrong: dict[str, None] = {}  # a problem of many jobs is told once
    for chosen in itertools.product(*sweep.grid.values()):
        point: dict[str, Any] = {}
        for key, value in zip(sweep.grid, chosen, strict=True):
            several = isinstance(value, dict) and key in value
            point |= value if several else {key: value}
        settings: dict[str, Any] = {}
        for key, value in (sweep.base | point).items():
            put(settings, key, copy.deepcopy(value))
        places = {key.split(".")[0]: "grid" for key in point}
        problems = [f"{name}: a sweep gives each job its own." for name in OWN if name in settings]
        kind = kind_of(settings)
        try:
            config = kind.model_validate(settings)
        except ValidationError as error:
            problems += [problem(kind, dict(item)) for item in error.errors()]
        for line in problems:
            place = places.get(line.split(".")[0].split(":")[0], "base")
            wrong[f"  {place}.{line}"] = None
        if problems:
            continue
        try:
            key = _key(config, _rows(config, read))
        except (ConfigError, DataError) as error:
            wrong[f"  {config.task}: {error}"] = None
            continue
        if key in found:
            wrong[f"  grid: {found[key].name} is there twice."] = None
        name = config.folder().name
        own: dict[str, Any] = {"out": folder / f"{name}-{key}"}
        if config.transfer.get("backbone") != "tuned":  # its prompt stays in that folder, unnamed
            own["tag"] = f"{folder.name}-{key}"
        found[key] = Job(point, config.model_copy(update=own))
    if wrong:
        raise ConfigError("The sweep's settings are wrong:\n" + "\n".join(wrong))
    return list(found.values())


def shown(value: Any) -> str:
    """A value as a person writes it."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _rows(config: TuneConfig, read: dict[str, list[str]]) -> list[str]:
    """What stands for the rows of the config's tasks: hashes by task and split."""
    given: dict[str, dict[str, Any]] = {name: {} for name in config.multitask}
    if isinstance(config, JointConfig):
        given |= {name: config.data_of(name) for name in config.task.split("+")}
    else:
        given[config.task] = config.data
    hashes = []
    for name, data in given.items():
        settings = repr((name, data))
        if settings not in read:
            task = tasks.load(name, **data)
            read[settings] = [data_hash(task.rows(split)) for split in task.splits]
        hashes += read[settings]
    return hashes


def _key(config: TuneConfig, rows: list[str]) -> str:
    """What stands for settings and rows; whether one was given may count, as with `length`."""
    settings = [config.model_dump(mode="json"), sorted(config.model_fields_set), rows]
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]
