"""Errors that a user can act on."""

from collections.abc import Iterable
from difflib import get_close_matches


class PromptgraftError(Exception):
    """What was got, what was expected and the way out, in one message.

    The command line prints the message alone; everything else is a bug and keeps its traceback.
    """


class WrongModelError(PromptgraftError):
    """A prompt was given to a model that it was not made for."""


class MissingPromptError(PromptgraftError):
    """A library has no prompt of that name."""


class BadFileError(PromptgraftError):
    """A file is damaged, truncated, foreign or from a newer version."""


class NewerFileError(BadFileError):
    """A file that a newer promptgraft wrote: nothing is wrong with it."""


class DataError(PromptgraftError):
    """Rows, labels or splits are not as the task needs them."""


class ConfigError(PromptgraftError):
    """Settings are wrong; every problem found is in the message."""


class TrainingError(PromptgraftError):
    """A run cannot go on: the loss is not a number, or runs away."""


class StoppedError(PromptgraftError):
    """A run was stopped on request; what it had reached is saved."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of an error message about an unknown name: " Did you mean …?", or nothing."""
    near = get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" Did you mean {near[0]!r}?" if near else ""
