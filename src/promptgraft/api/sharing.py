"""Prompts and libraries to the Hugging Face hub and back."""

from pathlib import Path

from promptgraft import prompts
from promptgraft.errors import PromptgraftError
from promptgraft.library import Library, hub
from promptgraft.library.hub import Pulled, Pushed


def push(
    what: Path | str, repo: str, *, public: bool = False, library: Library | None = None
) -> Pushed:
    """Put a library or single prompts into a repository of the hub, `user/name`.

    what    a library's or a prompt's folder; a name in `library`, or a glob of names
    public  whether everyone may read a repository that is made for it

    Raises PromptgraftError if there is no such prompt, and as `library.hub.push`.
    """
    return hub.push(_folders(what, library or Library()), repo, public)


def pull(
    repo: str,
    pattern: str = "*",
    *,
    revision: str | None = None,
    replace: bool = False,
    library: Library | None = None,
) -> Pulled:
    """Take the prompts of a repository of the hub into a library: `library.hub.pull`."""
    return hub.pull(repo, library or Library(), pattern, revision, replace)


def _folders(what: Path | str, library: Library) -> dict[str, Path]:
    """Names and folders of what is meant."""
    path = Path(what)
    if (path / "prompt.json").is_file():
        return {prompts.load_card(path).title: path}
    if path.is_dir():
        library, pattern = Library(path), "*"
    else:
        pattern = str(what) if set(str(what)) & set("*?") else library.resolve(str(what))
    found = {entry.name: entry.path for entry in library.list(pattern)}
    if not found:
        raise PromptgraftError(f"There is no prompt like {what} in {library.path}.")
    return found
