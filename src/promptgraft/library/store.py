"""A folder of prompts, one folder each. The folders are the truth; nothing else is kept."""

import difflib
import os
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

from promptgraft import files
from promptgraft.errors import BadFileError, PromptgraftError
from promptgraft.library import names
from promptgraft.prompts import ModuleState, Prompt, PromptCard, load, load_card, save


class Entry(NamedTuple):
    """A prompt of the library, without its tensors."""

    name: str
    card: PromptCard
    path: Path


class Broken(NamedTuple):
    """A folder in the library that is not a prompt, and why."""

    path: Path
    reason: str


class Listing(list[Entry]):
    """Entries by name. `broken` holds the folders that could not be read, set aside."""

    broken: list[Broken]


def default_path() -> Path:
    """$PROMPTGRAFT_LIBRARY, else ~/.promptgraft/library."""
    return Path(os.environ.get("PROMPTGRAFT_LIBRARY") or "~/.promptgraft/library").expanduser()


class Library:
    """Prompts by name (`task@model` or `task@model:tag`) in a folder, made when first needed."""

    def __init__(self, path: Path | str | None = None) -> None:
        self.path = Path(path).expanduser() if path else default_path()

    def __repr__(self) -> str:
        return f"Library({str(self.path)!r})"

    def __contains__(self, name: str) -> bool:
        """Whether a prompt has exactly this name."""
        try:
            return self._folder(name).is_dir()
        except PromptgraftError:
            return False

    def __len__(self) -> int:
        """How many prompts there are, without opening them."""
        return len(_scan(self.path)[0])

    def __bool__(self) -> bool:
        """An empty library is a library: `given or Library()` must not pass it over."""
        return True

    def add(
        self,
        prompt: Prompt,
        name: str | None = None,
        module: ModuleState | None = None,
        replace: bool = False,
    ) -> str:
        """Keep a prompt, and its module if given; returns its name (by default task@model)."""
        name = names.check(name or names.default(prompt.card))
        folder = self._folder(name)
        if folder.exists() and not replace:
            raise PromptgraftError(
                f"{name} is in {self.path} already. Give another tag, e.g. "
                f"{name.partition(':')[0]}:v2, or replace it."
            )
        save(prompt, folder, module)
        return name

    def get(self, name: str) -> Prompt:
        """The prompt of this name, or the only one whose name goes on from here with @ or :."""
        return load(self._folder(self._resolve(name)))

    def show(self, name: str) -> Entry:
        """Like `get`, but the card and the path only."""
        name = self._resolve(name)
        return Entry(name, load_card(self._folder(name)), self._folder(name))

    def remove(self, name: str) -> None:
        """Delete the prompt of exactly this name, whole or broken."""
        if name not in self:
            raise self._missing(name)
        files.remove_folder(self._folder(name))

    def list(self, pattern: str = "*") -> Listing:
        """The prompts whose names fit a glob (`*` crosses slashes: `sst2@*`, `*@mini/*`)."""
        found, broken = _scan(self.path)
        entries = Listing()
        for name in sorted(found):
            if fnmatchcase(name, pattern):
                folder = self._folder(name)
                try:
                    entries.append(Entry(name, load_card(folder), folder))
                except BadFileError as error:
                    broken.append(Broken(folder, str(error)))
        entries.broken = broken
        return entries

    def _folder(self, name: str) -> Path:
        return self.path / names.to_folder(names.check(name))

    def _resolve(self, name: str) -> str:
        if name in self:
            return names.check(name)
        found = _scan(self.path)[0]  # which may have healed the very one
        starts = (f"{name}@", f"{name}:")
        fitting = [full for full in found if full == name or full.startswith(starts)]
        if len(fitting) > 1:
            raise PromptgraftError(f"{name} could be {' or '.join(sorted(fitting))}. Name one.")
        if not fitting:
            raise self._missing(name)
        return fitting[0]

    def _missing(self, name: str) -> PromptgraftError:
        nearest = difflib.get_close_matches(name, _scan(self.path)[0], n=3, cutoff=0.4)
        hint = f"The nearest: {', '.join(nearest)}." if nearest else "See: promptgraft ls"
        return PromptgraftError(f"no prompt {name} in {self.path}. {hint}")


def _scan(library: Path) -> tuple[list[str], list[Broken]]:
    """The names of the library's folders, and the folders that have none."""
    if not library.exists():
        return [], []
    if not library.is_dir():
        raise PromptgraftError(f"{library} is a file; expected the library's folder.")
    files.sweep(library)
    found, broken = [], []
    for item in os.scandir(library):
        if item.name.startswith(".") or not item.is_dir():
            continue  # .git, a README and the like
        try:
            found.append(names.from_folder(item.name))
        except PromptgraftError as error:
            broken.append(Broken(Path(item.path), str(error)))
    return found, broken
