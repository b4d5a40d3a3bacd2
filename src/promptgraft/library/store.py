"""A folder of prompts, one folder each, in 256 shards. The folders are the truth.

3f/sst2@mini%2Fbert-s   a prompt; the shard follows from the name. A folder may also lie
                        beside the shards, where people and rsync put it
.index-1.sqlite         what is in the folders, for quick answers (index.py)
.trash, .broken         what was removed, and what was found damaged
"""

import difflib
import os
import secrets
import shutil
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

from promptgraft import files, prompts
from promptgraft.errors import (
    BadFileError,
    MissingPromptError,
    NewerFileError,
    PromptgraftError,
    WrongModelError,
)
from promptgraft.library import likeness, names
from promptgraft.library.entries import Broken, Entry, Likeness, Listing
from promptgraft.library.index import Index
from promptgraft.library.rows import space_of
from promptgraft.library.shards import holds_any, shard_of
from promptgraft.prompts import ModuleState, Precision, Prompt, PromptCard

Names = list[str]  # inside the class, `list` is its method
TRASH, ASIDE = ".trash", ".broken"
MOST_COMPARED = 5000  # names, to find those nearest to a mistyped one
COPIES = 10  # of a folder that others replace all the time, before that is an error
TOGETHER = 256  # prompts that are flushed to the disk at once


def default_path() -> Path:
    """$PROMPTGRAFT_LIBRARY, else ~/.promptgraft/library."""
    return Path(os.environ.get("PROMPTGRAFT_LIBRARY") or "~/.promptgraft/library").expanduser()


class Library:
    """Prompts by name (`task@model` or `task@model:tag`) in a folder, made when first needed.

    Any number of threads and processes may use one folder at once.
    """

    def __init__(self, path: Path | str | None = None) -> None:
        self.path = Path(path).expanduser() if path else default_path()
        self.index = Index(self.path)

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
        return self.index.count() if self._is_fresh() else 0

    def __bool__(self) -> bool:
        """An empty library is a library: `given or Library()` must not pass it over."""
        return True

    def add(
        self,
        prompt: Prompt,
        name: str | None = None,
        module: ModuleState | None = None,
        replace: bool = False,
        precision: Precision = "float32",
    ) -> str:
        """Keep a prompt, and its module if given; returns its name (by default task@model)."""
        name = names.check(name or prompt.card.title)
        folder = self._folder(name)
        if folder.exists() and not replace:
            raise self._taken(name)
        contents = prompts.encode(prompt, module, precision)
        with files.whole_folder(folder, replace) as new:
            _copy_beside(folder, new)
            prompts.write(contents, new)
        self._take_in([(name, prompt)], precision)
        return name

    def add_all(
        self, given: Iterable[tuple[Prompt, str | None]], precision: Precision = "float32"
    ) -> Names:
        """Keep many new prompts, given with their names or None: much faster than one by one.

        They go to the disk in groups of 256. Raises PromptgraftError if a name is taken; the groups
        before it are kept then.
        """
        added: list[str] = []
        rest = iter(given)
        while group := list(islice(rest, TOGETHER)):
            named = [(names.check(n or p.card.title), p) for p, n in group]
            chosen = [name for name, _ in named]
            for name in chosen:
                if name in self or chosen.count(name) > 1:
                    raise self._taken(name)
            with files.whole_folders([self._folder(name) for name in chosen]) as folders:
                for folder, (_, prompt) in zip(folders, named, strict=True):
                    prompts.write(prompts.encode(prompt, precision=precision), folder)
            self._take_in(named, precision)
            added += chosen
        return added

    def get(self, name: str) -> Prompt:
        """The prompt of this name, or the only one whose name goes on from here with @ or :."""
        name = self.resolve(name)
        try:
            return prompts.load(self._folder(name))
        except BadFileError:
            if name in self:
                raise
            raise self._missing(name) from None  # removed at this very moment

    def show(self, name: str) -> Entry:
        """Like `get`, but the card and the path only."""
        name = self.resolve(name)
        folder = self._folder(name)
        card = prompts.load_card(folder)
        return Entry(name, lambda _: folder, lambda _: card)

    def list(self, pattern: str = "*", where: str | None = None) -> Listing:
        """The prompts whose names fit a glob (`*` crosses slashes: `sst2@*`, `*@mini/*`) and whose
        cards pass a filter, such as `metric.accuracy>80 and base~mini/*` (filters.py).

        Folders that are no prompts are judged by the name alone.
        """
        if not self._is_fresh():
            return Listing([], self._folder, self._card)
        broken = [
            Broken(self.path / shard / folder, reason)
            for shard, folder, reason in self.index.broken(pattern)
        ]
        return Listing(self.index.names(pattern, where), self._folder, self._card, broken)

    def resolve(self, name: str) -> str:
        """The full name: this one, or the only one that goes on from here with @ or :."""
        if name in self:
            return names.check(name)
        found: set[str] = set()
        if self._is_fresh() and not set("*?[]") & set(name):  # healed, it may be there now
            for pattern in (name, f"{name}@*", f"{name}:*"):
                found |= set(self.index.names(pattern))
        if name in found:
            return names.check(name)
        if len(found) > 1:
            raise PromptgraftError(f"{name} could be {' or '.join(sorted(found))}. Name one.")
        if not found:
            raise self._missing(name)
        return found.pop()

    def remove(self, name: str) -> Path:
        """Move the prompt of exactly this name, whole or broken, to the trash; returns where to."""
        return self._move_away(self._existing(name), TRASH)

    def empty_trash(self) -> int:
        """Delete for good what was removed; returns how many prompts."""
        count = 0
        for item in (self.path / TRASH).glob("[!.]*"):
            with suppress(FileNotFoundError):  # another process empties it too
                files.remove_folder(item)
                count += 1
        return count

    def rename(self, name: str, new: str) -> str:
        """Give the prompt of exactly this name another one of the same model; returns it."""
        folder, new = self._existing(name), names.check(new)
        if new in self:
            raise self._taken(new)
        self._check_model(name, new)
        target = self._folder(new)
        files.move_folder(folder, target)
        self.index.take_in([folder, target])
        return new

    def tag(self, name: str, tag: str, replace: bool = False) -> str:
        """Keep a copy of a prompt as task@model:tag, safe from later runs; returns its name."""
        full = self.resolve(name)
        return self.copy_in(self._folder(full), f"{full.partition(':')[0]}:{tag}", replace)

    def copy_in(self, folder: Path, name: str, replace: bool = False) -> str:
        """Keep a copy of a prompt's folder, with all that is in it, under this name; returns it."""
        name = names.check(name)
        if name in self and not replace:
            raise self._taken(name)
        target = self._folder(name)
        files.heal(folder)
        with files.whole_folder(target, replace) as temporary:
            shutil.copytree(folder, temporary, dirs_exist_ok=True)
            prompts.load(temporary)  # it may have been replaced meanwhile
        self.index.take_in([target])
        return name

    def duplicates(self) -> Sequence[Names]:
        """Groups of names that stand for the same numbers."""
        return self.index.duplicates() if self._is_fresh() else []

    def similar(self, prompt: Prompt | str, count: int = 10) -> Sequence[Likeness]:
        """The prompts of the same model and kind that are most like this one, best first."""
        own = self.resolve(prompt) if isinstance(prompt, str) else None
        value = self.get(prompt) if isinstance(prompt, str) else prompt
        if not self._is_fresh():
            return []
        space, vector = space_of(value.card), likeness.mean_vector(value)
        self._sketch(space)
        numbers, sketches = self.index.sketches(space)
        near = likeness.closest(likeness.sketch(vector), sketches, 3 * count + 10)
        found = []
        for name in self.index.names_of(numbers[place] for place in near):
            if name == own:
                continue
            with suppress(BadFileError):  # it was damaged or removed since
                other = likeness.mean_vector(prompts.load(self._folder(name)))
                if len(other) == len(vector):  # prefixes may differ in their sites
                    found.append(Likeness(name, likeness.cosine(vector, other)))
        return sorted(found, key=lambda one: (-one.cosine, one.name))[:count]

    def verify(self, pattern: str = "*") -> tuple[int, Sequence[Broken]]:
        """Read the prompts whose names fit, and their modules: how many are sound, what is not.

        README.md is not read: it is made from the card, and people may write on in it.
        Damaged prompts are moved to the folder .broken and never deleted. What a newer promptgraft
        wrote, what may not be read and what is no prompt's folder at all is named and stays.
        """
        listing = self.list(pattern)
        sound, broken = 0, []
        for path in [entry.path for entry in listing] + [one.path for one in listing.broken]:
            is_moved = False
            try:
                name = names.from_folder(path.name)
                if path != self._folder(name):
                    raise PromptgraftError(f"{path}: another folder has the name {name}.")
                prompts.load(path)
                prompts.load_module_state(path)
            except BadFileError as error:
                own = error.__cause__ is None or not isinstance(error.__cause__, OSError)
                if own and not isinstance(error, NewerFileError) and path.is_dir():
                    with suppress(PromptgraftError):  # where we may not write it stays
                        path, is_moved = self._move_away(path, ASIDE), True
                broken.append(Broken(path, str(error), is_moved))
            except PromptgraftError as error:
                broken.append(Broken(path, str(error)))
            else:
                sound += 1
        return sound, broken

    def rebuild(self) -> None:
        """Make the index again from the folders."""
        if self._is_there():
            self.index.rebuild()

    def _is_fresh(self) -> bool:
        """Bring the index up to date; False if there is no library yet."""
        if not self._is_there():
            return False
        self.index.refresh()
        return True

    def _is_there(self) -> bool:
        """Whether the folder is a library's; in any other one looking leaves no index."""
        if not self.path.exists():
            return False
        if not self.path.is_dir():
            raise PromptgraftError(f"{self.path} is a file; expected the library's folder.")
        return self.index.database.path.exists() or holds_any(self.path)

    def _take_in(self, added: Sequence[tuple[str, Prompt]], precision: Precision) -> None:
        self.index.take_in([self._folder(name) for name, _ in added])
        if precision == "float32":
            self.index.keep_sketches(
                (name, prompt.content_hash, likeness.sketch(likeness.mean_vector(prompt)))
                for name, prompt in added
            )

    def _sketch(self, space: str) -> None:
        """Give a sketch to the prompts that have none, such as those that rsync brought."""
        missing = iter(self.index.unsketched(space))
        while group := list(islice(missing, TOGETHER)):
            found = []
            for name in group:
                with suppress(BadFileError):
                    prompt = prompts.load(self._folder(name))
                    sketch = likeness.sketch(likeness.mean_vector(prompt))
                    found.append((name, prompt.content_hash, sketch))
            self.index.keep_sketches(found)

    def _card(self, name: str) -> PromptCard:
        return self.index.card(name) or prompts.load_card(self._folder(name))

    def _folder(self, name: str) -> Path:
        """Where a prompt of this name is, or would be put."""
        folder = names.to_folder(names.check(name))
        usual, beside = self.path / shard_of(folder) / folder, self.path / folder
        return beside if beside.is_dir() and not usual.is_dir() else usual

    def _existing(self, name: str) -> Path:
        if name not in self:
            raise self._missing(name)
        return self._folder(name)

    def _check_model(self, name: str, new: str) -> None:
        """A prompt may be called after the model that its name or its card has."""
        if names.model_of(new) == names.model_of(name):
            return
        own = self.show(name).card.base.short_name
        if names.model_of(new) != own:
            wanted = names.model_of(new)
            raise WrongModelError(
                f"{name} is a prompt of {own} and cannot be called {new}. "
                f"Expected {new.replace(f'@{wanted}', f'@{own}')}, or move it to that model: "
                f"promptgraft transfer {name} --to {wanted}"
            )

    def _move_away(self, folder: Path, where: str) -> Path:
        target = self.path / where / secrets.token_hex(4) / folder.name
        files.move_folder(folder, target)
        self.index.take_in([folder])
        return target

    def _taken(self, name: str) -> PromptgraftError:
        return PromptgraftError(
            f"{name} is in {self.path} already. Give another tag, e.g. "
            f"{name.partition(':')[0]}:v2, or replace it."
        )

    def _missing(self, name: str) -> MissingPromptError:
        if not self.path.exists():
            return MissingPromptError(f"no prompt {name}: there is no {self.path}.")
        known = self.index.names()[:MOST_COMPARED] if self._is_fresh() else []
        nearest = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
        hint = f"The nearest: {', '.join(nearest)}." if nearest else "See: promptgraft ls"
        return MissingPromptError(f"no prompt {name} in {self.path}. {hint}")


def _copy_beside(folder: Path, new: Path) -> None:
    """Copy what people put beside a prompt, if it is there, into the folder that takes its place.

    Another process may take the folder away meanwhile: then it is looked for again.
    """
    for last in (False,) * COPIES + (True,):
        try:
            if folder.is_dir():
                shutil.copytree(folder, new, ignore=_own_files, dirs_exist_ok=True)
        except (FileNotFoundError, shutil.Error):
            if last:
                raise
        else:
            return


def _own_files(_folder: str, found: list[str]) -> list[str]:
    return [name for name in found if name in prompts.FILES or name.startswith(".")]
