"""Miniature pretrained models that come with the package: mini/bert-s, mini/gpt2-m and so on."""

from pathlib import Path

PREFIX = "mini/"
_HERE = Path(__file__).parent


def names() -> list[str]:
    """The minis at hand, as they are named to `FrozenModel.load`."""
    return sorted(PREFIX + file.parent.name for file in _HERE.glob("*/config.json"))


def folder(name: str) -> Path | None:
    """The folder of a mini, or None if there is none of that name."""
    path = _HERE / name.removeprefix(PREFIX)
    return path if name.startswith(PREFIX) and (path / "config.json").is_file() else None
