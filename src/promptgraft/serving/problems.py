"""What can go wrong with serving a request that is fine in itself."""

import logging
import traceback

from promptgraft.errors import PromptgraftError

log = logging.getLogger(__name__)


class FullError(PromptgraftError):
    """The queue is full; try again later."""


class FailedError(PromptgraftError):
    """The server's own fault."""


def told(error: Exception) -> PromptgraftError:
    """What whoever asked is told of an error.

    One that nobody expected goes to the log with its place alone: its message may hold a text.
    """
    if isinstance(error, PromptgraftError):
        return error
    place = "".join(traceback.format_tb(error.__traceback__))
    log.error("%s while serving:\n%s", type(error).__name__, place)
    return FailedError("The server failed with this request; its log says where.")


def overflow(prompt: str | None, model: str) -> PromptgraftError:
    """A prompt whose numbers are finite but too large for the model."""
    return PromptgraftError(
        f"With the prompt {prompt or '(none)'}, {model} comes to numbers that are infinite or NaN; "
        "tune the prompt again with a smaller learning rate."
    )
