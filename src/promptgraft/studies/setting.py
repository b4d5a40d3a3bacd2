"""What a study is run with."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path


def _silent(_text: str) -> None:
    pass


@dataclass(frozen=True)
class Setting:
    """The models that take part, where everything is written, and how much is measured.

    seeds      runs of each kind
    full       as many steps, rows and samples as the paper has, in place of miniature ones
    relations  of LAMA, in the study that asks for facts
    say        is told what is being measured
    """

    models: Sequence[str]
    folder: Path
    seeds: int = 3
    full: bool = False
    relations: Sequence[str] = ()
    say: Callable[[str], None] = _silent
