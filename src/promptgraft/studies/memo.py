"""Measurements that are made once: a study that was stopped goes on where it was."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any


class Memo:
    """Values by what they were measured of, kept as lines of a JSON file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.values: dict[str, Any] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        text = path.read_text("utf-8") if path.exists() else ""
        whole = text[: text.rfind("\n") + 1]  # a killed process may have left half a line
        for line in whole.splitlines():
            key, value = json.loads(line)
            self.values[json.dumps(key)] = value
        if whole != text:
            path.write_text(whole, "utf-8")

    def __call__(self, key: Any, measure: Callable[[], Any]) -> Any:
        """The value of a key, measured if it is not known; both are what JSON can hold."""
        name = json.dumps(key)
        if name not in self.values:
            self.values[name] = measure()
            with self.path.open("a", encoding="utf-8") as lines:
                lines.write(f"[{name}, {json.dumps(self.values[name])}]\n")
        return self.values[name]
