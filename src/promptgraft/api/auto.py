"""`method=auto`: for answers, prompts that were tuned in several ways and vote; for texts, the
prefix that does best with few rows.

Few rows hardly tell which way to tune suits them, and prompts that were tuned in different ways are
wrong about different rows. So none is chosen: all are tuned from the same rows, and each of the
label words gets the mean of the chances that they give it (`prompts.Ensemble`). A pool that does
harm is one voice of several.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from promptgraft.api.config import TuneConfig
from promptgraft.errors import ConfigError, did_you_mean
from promptgraft.models import FrozenModel
from promptgraft.tasks import Task
from promptgraft.training import Objective, Report, read
from promptgraft.training.described import Described

VOTING = "members"  # folder of a run that holds what votes
UNFINISHED = "unfinished"  # a file there, while the run goes on
CHOICES = ("wording", "mlp")  # ways whose objective is the label words alone, where that can be
MEMBERS: Mapping[str, Mapping[str, Any]] = {  # ways to tune: settings of a run
    "soft-prompt": {"method": "soft-prompt", "lr": 0.01},
    "wording": {"method": "soft-prompt", "init": "wording", "lr": 0.003},
    "prefix": {"method": "prefix", "lr": 0.03},
    "mlp": {"method": "prefix", "module": "mlp"},
    "mixture": {
        "method": "crosspt", "transfer": {"configuration": "SILP", "encoder": "none"},
    },
}  # fmt: skip
WRITING = {"method": "prefix", "module": "mlp", "transfer": {}}  # by scripts/better_prefixes.py


class AutoSettings(Described):
    """Settings of method=auto, in `TuneConfig.transfer`."""

    members: list[str] = Field(default=list(MEMBERS), min_length=1)
    """Ways to tune, of `MEMBERS`. wording needs a task that has one, mixture a pool, prefix and mlp
    a model that takes prefixes: where that is missing they are left out."""

    @field_validator("members", mode="before")
    @classmethod
    def _known(cls, names: object) -> object:
        listed = names.split(",") if isinstance(names, str) else names
        for name in listed if isinstance(listed, list) else []:
            if name not in MEMBERS:
                near = did_you_mean(str(name), MEMBERS)
                raise ValueError(f"there is no {name!r}; there are {', '.join(MEMBERS)}.{near}")
        return listed


def members(config: TuneConfig, model: FrozenModel, task: Task) -> dict[str, TuneConfig]:
    """The settings of each run whose prompt votes, by name.

    Raises ConfigError if none is left.
    """
    settings: AutoSettings = read(AutoSettings, None, config.transfer)
    missing = {
        "wording": not task.manual.get(model.family) or config.template is not None,
        "mixture": not config.pool,
        "prefix": not model.takes_prefixes,
        "mlp": not model.takes_prefixes,
    }
    names = [name for name in settings.members if not missing.get(name, False)]
    if not names:
        raise ConfigError(
            f"None of {', '.join(settings.members)} can be tuned here: there is no wording of the "
            "task, no pool, or the model takes no prefixes. Name more in transfer.members."
        )
    usual: dict[str, Any] = {"transfer": {}, "pool": [], "few_shot": None}
    objective = _objective(model, task)
    found = {}
    for name in names:
        own = {**usual, **MEMBERS[name], "out": config.folder() / VOTING / name}
        if name == "mixture":
            own["pool"] = config.pool
        if name in CHOICES:
            own["objective"] = objective
        found[name] = config.model_copy(update=own)
    return found


def for_texts(config: TuneConfig) -> TuneConfig:
    """The settings where texts are to be written. Raises ConfigError for a pool."""
    if config.pool:
        raise ConfigError(
            "auto borrows from a pool only where answers are chosen; for texts name a method that "
            "does, such as method=spot or method=crosspt."
        )
    return config.model_copy(update=WRITING)


def under_way(folder: Path) -> bool:
    """Whether prompts that are to vote are being tuned in a run's folder."""
    return (folder / VOTING / UNFINISHED).exists()


def shifted(
    report: Callable[[Report], None] | None, done: int, runs: int
) -> Callable[[Report], None] | None:
    """Reports of one tuning of several that are alike, as of all of them together."""
    if report is None:
        return None

    def tell(now: Report) -> None:
        to_come = max(now.steps - now.step, 1)
        left = now.seconds_left * (1 + (runs - done - 1) * now.steps / to_come)
        step, steps = done * now.steps + now.step, runs * now.steps
        report(replace(now, step=step, steps=steps, seconds_left=left))

    return tell


def _objective(model: FrozenModel, task: Task) -> Literal["choices", "vocabulary"]:
    """The label words alone, where they can be told apart so."""
    try:
        Objective(model, task, "choices")
    except ConfigError:
        return "vocabulary"
    return "choices"
