"""The card of a prompt: what it is, which model it belongs to, how it came to be."""

from datetime import UTC, datetime
from pathlib import PurePath
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue

SCHEMA_VERSION: Literal[1] = 1
ENSEMBLE = "ensemble"  # the method of prompts that vote

Kind = Literal["soft-prompt", "prefix"]
Family = Literal["causal", "seq2seq", "masked"]
Hex = Annotated[str, Field(pattern="^[0-9a-f]+$")]


class _Record(BaseModel):
    # A metric of an imported prompt may be NaN, for which JSON has no word but a string.
    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="strings")


class ModelReference(_Record):
    """The frozen model that a prompt was made for."""

    name: str = Field(min_length=1)
    """Hub name, name of a mini, or local path."""
    revision: str | None = None
    fingerprint: Hex | None
    """SHA-256 over the architecture and the input embeddings: what makes a prompt fit or not. None
    if the model was not at hand when the prompt was imported: then name and size have to do."""
    tokenizer_hash: Hex | None
    family: Family
    embedding_size: int = Field(gt=0)

    @property
    def is_local(self) -> bool:
        """Whether the name is the path of a folder on some machine."""
        return _is_path(self.name)

    @property
    def short_name(self) -> str:
        """The name; of a model in a local folder only the folder's."""
        return PurePath(self.name.replace("\\", "/")).name if self.is_local else self.name

    @property
    def identity(self) -> str:
        """The same for prompts of one model, as far as that is known."""
        return self.fingerprint or f"{self.name} {self.family} {self.embedding_size}"

    def may_be(self, other: "ModelReference") -> bool:
        """Whether both are one model, as far as is known. Without both fingerprints their names, in
        whatever folder or account, families and sizes have to do."""
        if self.fingerprint and other.fingerprint:
            return self.fingerprint == other.fingerprint
        names = {PurePath(own.name).name.lower() for own in (self, other)}
        sizes = {(own.family, own.embedding_size) for own in (self, other)}
        return len(names) == len(sizes) == 1


class Parent(_Record):
    """A prompt that this one was made from."""

    name: str
    content_hash: Hex
    relation: str
    """For instance "transferred-from", "initialised-from", "mixed-from"."""


class PromptCard(_Record):
    """Everything known about a prompt besides its numbers."""

    schema_version: Literal[1] = SCHEMA_VERSION
    kind: Kind
    length: int = Field(gt=0)
    """P, the number of virtual tokens."""
    base: ModelReference

    task: str | None = None
    template: str | None = None
    verbalizer: dict[str, str] | None = None
    """Label to word."""

    method: str | None = None
    """For instance "soft-prompt", "prefix", "transfer:relative", "mix"."""
    hyperparameters: dict[str, JsonValue] = {}
    seed: int | None = None
    data_hash: str | None = None
    metrics: dict[str, float] = {}
    """Keys such as "validation.accuracy"."""
    curve: tuple[float, ...] = Field(default=(), exclude_if=lambda curve: not curve)
    """Training loss over the run, thinned out: at most 60 values."""
    parents: tuple[Parent, ...] = ()

    library_version: str | None = None
    created: str | None = Field(default=None, pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
    """UTC, ISO 8601 in whole seconds: what `now()` returns."""
    licence: str | None = None
    notes: str | None = None

    @property
    def title(self) -> str:
        """`task@model`; of a model in a local folder only the folder's name."""
        return f"{self.task or 'untitled'}@{self.base.short_name}"

    @property
    def is_ensemble(self) -> bool:
        """Whether the prompt beside it is the first of several that vote."""
        return self.method == ENSEMBLE

    @property
    def form(self) -> str:
        """What the prompt is, in words."""
        members = self.hyperparameters.get("members")
        if self.is_ensemble and isinstance(members, list):
            return f"ensemble of {', '.join(map(str, members))}"
        return f"{self.kind}, {self.length} virtual tokens"

    def without_paths(self) -> Self:
        """The card to publish: of a model in a local folder it tells the folder's name alone, of
        the data nothing that names a place on this machine."""
        base, settings = self.base, self.hyperparameters
        if base.is_local:
            base = base.model_copy(update={"name": f"./{base.short_name}"})
        data = settings.get("data")
        if isinstance(data, dict):
            told = {k: v for k, v in data.items() if not (isinstance(v, str) and _is_path(v))}
            settings = settings | {"data": told}
        return self.model_copy(update={"base": base, "hyperparameters": settings})


def _is_path(name: str) -> bool:
    return name.startswith(("/", ".", "~")) or "\\" in name


def now() -> str:
    """The time as `PromptCard.created` wants it, e.g. "2026-03-01T12:00:00Z"."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
