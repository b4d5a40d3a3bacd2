"""The settings of one tuning run: from Python, YAML and key=value alike."""

import re
from collections.abc import Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, Field, ValidationError, model_validator

from promptgraft.errors import ConfigError, did_you_mean
from promptgraft.training.described import Described

FEW = 12  # settings that an error may list


class TrainingConfig(Described):
    """How a module is tuned."""

    steps: int = Field(default=1000, gt=0)
    """Optimizer steps."""
    batch_size: int = Field(default=32, gt=0)
    """Rows of one optimizer step, over all devices."""
    accumulate: int = Field(default=1, gt=0)
    """Parts that a batch is computed in; the gradient is the same, the memory less."""
    lr: float = Field(default=0.01, gt=0)
    """Learning rate at its highest."""
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    """How the rate falls to zero after the warmup: in a line, as a cosine, or (constant) not."""
    warmup: float = Field(default=0.05, ge=0, lt=1)
    """Share of the steps in which the rate rises from zero."""
    weight_decay: float = Field(default=0.0, ge=0)
    """Of AdamW."""
    clip: float = Field(default=1.0, gt=0)
    """Largest norm of the gradient."""
    seed: int = 0
    """Of everything that is drawn; the same seed gives the same run."""
    average: Literal["tokens", "sentences"] = "tokens"
    """What a step's loss is the mean over: tokens, or rows with the sum over their tokens, which is
    how the code of Prefix-Tuning has it."""
    objective: Literal["vocabulary", "choices"] = "vocabulary"
    """Classification: cross-entropy over all tokens, or over the label words alone."""
    noise: float = Field(default=0.0, ge=0)
    """Soft prompts: normal noise on the virtual tokens at every step, in deviations of the model's
    embeddings. It is meant to make them easier to move to other models, as is the next."""
    hull: float = Field(default=0.0, ge=0)
    """Soft prompts: weight of the virtual tokens' distance to the hull of the token embeddings."""

    evaluate_every: int = Field(default=100, gt=0)
    """Steps between evaluations on the validation split."""
    evaluate_rows: int = Field(default=500, gt=0)
    """Validation rows looked at each time, the same ones."""
    patience: int | None = Field(default=None, gt=0)
    """Evaluations without improvement after which to stop; None: never."""
    checkpoint_every: int = Field(default=200, gt=0)
    """Steps between checkpoints."""
    tensorboard: bool = False
    """Write the metrics for TensorBoard too."""

    @model_validator(mode="after")
    def _consistent(self) -> "TrainingConfig":
        if self.batch_size % self.accumulate:
            raise ValueError(
                f"batch_size {self.batch_size} cannot be computed in {self.accumulate} equal parts"
            )
        return self


def read(
    config: type[BaseModel],
    source: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Any:
    """Settings from a YAML file, overridden by `settings`.

    settings  values as Python has them, or texts as a command line has them ("0.01", "true")

    Raises ConfigError with every problem at once; an unknown key names the nearest one.
    """
    values = merged(source, settings or {})
    try:
        return config.model_validate(values)
    except ValidationError as error:
        lines = [problem(config, dict(item)) for item in error.errors()]
    where = f" in {source}" if source is not None else ""
    raise ConfigError(f"Settings{where} are wrong:\n" + "\n".join(f"  {line}" for line in lines))


def merged(source: str | Path | None, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What a YAML file and `settings` say together, unchecked: of a setting that both have the
    latter counts, of one with entries, such as `data`, the latter's entries.

    Raises ConfigError if the file cannot be read or is no mapping.
    """
    values = _read_yaml(source) if source is not None else {}
    for name, value in settings.items():
        before = values.get(name)
        if isinstance(before, dict) and isinstance(value, Mapping):
            value = {**before, **value}
        values[name] = value
    return values


def _read_yaml(source: str | Path) -> dict[str, Any]:
    try:
        loaded = yaml.safe_load(Path(source).read_text()) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"Cannot read the settings in {source}: {error}") from None
    if not isinstance(loaded, dict):
        raise ConfigError(f"{source} must hold `key: value` lines, not a {type(loaded).__name__}.")
    return loaded


def parse_settings(texts: Sequence[str], config: type[BaseModel] | None = None) -> dict[str, Any]:
    """["lr=0.1", "data.text=review"] as a mapping; values are read as YAML, dots nest.

    config  whose settings that are texts are not read as YAML: template={prompt} is no mapping

    Raises ConfigError for an item without "=".
    """
    fields = config.model_fields if config is not None else {}
    settings: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise ConfigError(f"Expected key=value, got {text!r}; for example lr=0.01.")
        if value.lower() == "none":
            put(settings, key, None)
            continue
        if key in fields and fields[key].annotation in (str, str | None):
            put(settings, key, value)
            continue
        try:
            put(settings, key, yaml.safe_load(value))
        except yaml.YAMLError:
            put(settings, key, value)
    return settings


def put(settings: dict[str, Any], key: str, value: Any) -> None:
    """Set what "data.text" means: the entry `text` of the mapping `data`.

    Raises ConfigError if there is something else in the place of that mapping.
    """
    *outer, last = key.strip().split(".")
    place = settings
    for name in outer:
        place = place.setdefault(name, {})
        if not isinstance(place, dict):
            raise ConfigError(f"{key}: {name} is {place!r} already, which has no entries.")
    place[last] = value


def problem(config: type[BaseModel], item: dict[str, Any]) -> str:
    """One of pydantic's errors in a line; an unknown key names the nearest one."""
    parts = map(str, item["loc"])
    key = ".".join(takewhile(lambda part: re.fullmatch(r"[^\[\]()]+", part), parts)) or "settings"
    if item["type"] == "extra_forbidden":
        known = config.model_fields
        few = f" There are {', '.join(known)}." if len(known) <= FEW else ""
        return f"{key}: there is no such setting." + (did_you_mean(key, known) or few)
    got = "" if item["type"] == "missing" else f" (got {item['input']!r})"
    if not item["loc"]:
        got = ""
    return f"{key}: {item['msg'].removeprefix('Value error, ')}{got}"
