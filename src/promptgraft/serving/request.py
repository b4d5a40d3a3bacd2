"""What is asked of a model, and what comes back piece by piece."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Reason = Literal["stop", "length", "cancelled"]


def _whole(text: str) -> str:
    """Strings can hold halves of characters, JSON too ("\\ud800"); tokenizers take none."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("half a character (a lone surrogate) is no text") from None
    return text


Text = Annotated[str, AfterValidator(_whole)]
Fields = Mapping[Text, Text | int | float | bool]


class Request(BaseModel):
    """A text to be written."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: Text | Fields
    """A row of the prompt's template, or a text for its only field."""
    prompt: Text | None = None
    """A name in the library; None: the bare model."""
    max_new_tokens: int = Field(default=64, gt=0)
    temperature: float = Field(default=0.0, ge=0.0)
    """0: the likeliest token each time."""
    top_p: float = Field(default=1.0, gt=0.0, le=1.0)
    top_k: int | None = Field(default=None, gt=0)
    seed: int = Field(default=0, ge=0, lt=2**63)
    """The same seed draws the same text, whoever else is served meanwhile."""
    stop: Sequence[Text] = ()
    """Texts that end it; they are not part of it."""
    logprobs: int | None = Field(default=None, ge=0, le=20)
    """So many of the likeliest tokens are told with every token."""


@dataclass(frozen=True)
class Token:
    """A token that was written, its log-probability, and those of the likeliest ones."""

    text: str
    logprob: float
    likeliest: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Piece:
    """The next piece of a text; the last one says why it is the last."""

    text: str
    tokens: Sequence[Token] = ()
    finished: Reason | None = None


class Ticket:
    """The answer to a request while it comes in. One thread reads it."""

    def __init__(
        self, request: Request, read: int, deliver: Callable[[Piece | Exception], None] | None
    ) -> None:
        """read     tokens of the request's text and prompt
        deliver  is given the pieces in the engine's thread; None: they are kept to be read here
        """
        self.request, self.read = request, read
        self.written = 0
        """Tokens so far."""
        self.cancelled = False
        self._pieces: SimpleQueue[Piece | Exception] = SimpleQueue()
        self.put = deliver or self._pieces.put

    def cancel(self) -> None:
        """Nobody waits for it any more; its place is free at the next step."""
        self.cancelled = True

    def __iter__(self) -> Iterator[Piece]:
        """The pieces as they come. Raises what went wrong with the request."""
        while True:
            piece = self._pieces.get()
            if isinstance(piece, Exception):
                raise piece
            yield piece
            if piece.finished is not None:
                return

    def text(self) -> str:
        """The whole text, when it is finished."""
        return "".join(piece.text for piece in self)
