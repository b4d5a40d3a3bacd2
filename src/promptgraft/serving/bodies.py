"""What may be asked over HTTP: the bodies of requests and their limits."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from promptgraft.serving.request import Fields, Text


@dataclass(frozen=True)
class Limits:
    """What a request may be."""

    body_bytes: int = 2**20
    body_seconds: float = 20.0
    """Until a body must have come in."""
    text: int = 100_000
    """Characters of a row, and of its choices."""
    new_tokens: int = 1024
    rows: int = 256
    """To be classified or filled in one request."""
    chances: int = 10_000
    """Rows times choices."""
    seconds: float = 120.0
    """Until an answer must be complete."""


Name = Annotated[Text, Field(min_length=1, max_length=500)]
Row = Text | Fields
Stop = Annotated[Text, Field(max_length=100)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Completion(_Body):
    """OpenAI's request for a completion; what promptgraft adds is `row`."""

    model: Name
    prompt: Text | None = None
    row: Fields | None = None
    """In place of `prompt`: the fields of the prompt's template."""
    max_tokens: int | None = Field(default=None, gt=0)
    """Default 64, or as many as the server allows."""
    temperature: float = Field(default=0.0, ge=0.0, le=100.0)
    top_p: float = Field(default=1.0, gt=0.0, le=1.0)
    stop: Stop | Annotated[list[Stop], Field(max_length=16)] | None = None
    seed: int = Field(default=0, ge=0, lt=2**63)
    logprobs: int | None = Field(default=None, ge=0, le=20)
    stream: bool = False
    n: int = Field(default=1, ge=1, le=1)
    user: Text | None = None


class Classify(_Body):
    """Rows to be given one of the choices each, by default the prompt's label words."""

    model: Name
    input: Row | Annotated[list[Row], Field(min_length=1)]
    choices: Annotated[list[Name], Field(min_length=1, max_length=1000)] | None = None


class Fill(_Body):
    """Rows whose mask is to be filled with one of some words."""

    model: Name
    input: Row | Annotated[list[Row], Field(min_length=1)]
    words: list[Name] = Field(min_length=1, max_length=1000)
