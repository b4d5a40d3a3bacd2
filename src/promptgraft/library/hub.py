"""Libraries on the Hugging Face hub: a repository there is laid out as a library is here.

    README.md                  the model card, made anew by every push (modelcard.py)
    3f/sst2@mini%2Fbert-s/…    a prompt's folder, in its shard

So a clone of the repository is a library. The token is huggingface_hub's own affair: it finds it in
HF_TOKEN or where `hf auth login` put it, and it is never seen here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

import promptgraft
from promptgraft import prompts
from promptgraft.errors import BadFileError, PromptgraftError
from promptgraft.library import names
from promptgraft.library.modelcard import model_card
from promptgraft.library.shards import shard_of
from promptgraft.library.store import Library

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import ModelInfo

SECONDS = 10.0  # for the hub to say that it is there
TOGETHER = 500  # prompts in a commit; the hub takes no commits without end
CARD = "prompt.json"


class Pushed(NamedTuple):
    """Where prompts went, and their names; whether the repository was made for them."""

    url: str
    names: list[str]
    is_new: bool


class Pulled(NamedTuple):
    """The commit that was pulled; names that came in, and names that were here with the same
    content."""

    revision: str
    added: list[str]
    present: list[str]


def push(folders: Mapping[str, Path], repo: str, public: bool = False) -> Pushed:
    """Put prompts, given by name with their folders, into a repository of the hub.

    A repository that is not there is made, private unless `public`. Prompts of other names that it
    holds stay, those of these names are replaced; its history keeps them. Commits hold whole
    prompts, so a push that breaks off leaves none half there. Of a model in a local folder the
    cards tell the folder's name alone.

    Raises BadFileError for a damaged prompt before anything is sent, PromptgraftError if the hub
    cannot be reached, does not let us in or does not take it.
    """
    cards = {name: _checked(folder).card.without_paths() for name, folder in folders.items()}
    hub = _hub()
    known = _find(hub, repo)
    if known is None:
        with _clear_errors(repo, f"{repo} could not be made"):
            hub.create_repo(repo, private=not public)
    else:
        others = {name: at for name, at in _folders(known).items() if name not in cards}
        if others:
            place = _fetch(hub, repo, known, [f"{at}/{CARD}" for at in others.values()])
            for name, at in others.items():
                with suppress(BadFileError):  # a card we cannot read is no reason not to push ours
                    cards[name] = prompts.load_lone_card(place / at).without_paths()
    files = {"README.md": model_card(repo, cards).encode()}
    chosen = sorted(folders)
    for start in range(0, len(chosen), TOGETHER):
        group = chosen[start : start + TOGETHER]
        _commit(hub, repo, {name: folders[name] for name in group}, files)
    return Pushed(f"{hub.endpoint}/{repo}", chosen, known is None)


def pull(
    repo: str,
    library: Library,
    pattern: str = "*",
    revision: str | None = None,
    replace: bool = False,
) -> Pulled:
    """Take the prompts of a repository whose names fit a glob into a library.

    revision  a branch, tag or commit; default the newest

    All are fetched and checked before the first comes in, and each comes in whole. What had been
    fetched is in the hub's cache, so a pull that broke off goes on where it was.

    Raises BadFileError for a damaged prompt, PromptgraftError if names are taken by other prompts
    (without `replace`), if the repository has no such prompts, and as `push`.
    """
    hub = _hub()
    known = _find(hub, repo, revision)
    if known is None:
        raise PromptgraftError(
            f"The hub has no repository {repo}, or it is private: run hf auth login, or set "
            "HF_TOKEN."
        )
    everything = _folders(known)
    found = {name: at for name, at in everything.items() if fnmatchcase(name, pattern)}
    if not found:
        raise PromptgraftError(_nothing(repo, pattern, list(everything)))
    # A pattern for each folder is slow if there are thousands, and few take thousands but not all.
    folders = ["*@*"] if len(found) == len(everything) else list(found.values())
    wanted = [f"{folder}/{file}" for folder in folders for file in prompts.FILES]
    place = _fetch(hub, repo, known, wanted)
    fetched = {name: place / at for name, at in sorted(found.items())}
    added: list[str] = []
    present: list[str] = []
    for name, folder in fetched.items():
        try:
            prompt = _checked(folder)
        except BadFileError:  # perhaps only the cache's copy is damaged
            _fetch(hub, repo, known, [f"{found[name]}/*"], afresh=True)
            prompt = _checked(folder)
        same = name in library and _is(prompt, library, name)
        (present if same else added).append(name)
    taken = [name for name in added if name in library]
    if taken and not replace:
        raise PromptgraftError(
            f"{', '.join(taken)}: in {library.path} already, with other content. Replace it, or "
            "pull into another library; nothing was taken in."
        )
    for name in added:
        library.copy_in(fetched[name], name, replace)
    return Pulled(str(known.sha), added, present)


def _checked(folder: Path) -> prompts.Prompt:
    """The prompt of a folder, every file of it read and compared with its hash."""
    prompts.load_module_state(folder)
    return prompts.load(folder)


def _published(folder: Path) -> Mapping[str, str | bytes]:
    """The files of a prompt as they are pushed: their paths, or what is in them instead."""
    card = prompts.load_card(folder)
    if card != card.without_paths():
        return prompts.encode_again(folder, card.without_paths())
    paths = {file: folder / file for file in prompts.FILES}
    return {file: str(path) for file, path in paths.items() if path.is_file()}


def _is(prompt: prompts.Prompt, library: Library, name: str) -> bool:
    here = library.get(name)
    # As JSON, for a metric may be NaN; here the model's folder may be known, there it is not told.
    cards = {one.card.without_paths().model_dump_json() for one in (here, prompt)}
    return len(cards) == 1 and here.content_hash == prompt.content_hash


def _place(name: str) -> str:
    folder = names.to_folder(name)
    return f"{shard_of(folder)}/{folder}"


def _hub() -> HfApi:
    from huggingface_hub import HfApi

    return HfApi(library_name="promptgraft", library_version=promptgraft.__version__)


def _find(hub: HfApi, repo: str, revision: str | None = None) -> ModelInfo | None:
    """The repository and its files, or None. The first question to the hub, with a limit:
    huggingface_hub itself would wait without end where nothing answers."""
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    with _clear_errors(repo, f"the hub at {hub.endpoint} cannot be reached"):
        try:
            return hub.model_info(repo, revision=revision, timeout=SECONDS)
        except GatedRepoError:
            raise
        except RepositoryNotFoundError:
            return None


def _fetch(
    hub: HfApi, repo: str, known: ModelInfo, patterns: list[str], afresh: bool = False
) -> Path:
    """The files of that very commit which fit, in the hub's cache."""
    with _clear_errors(repo, "the download broke off, and goes on where it was next time"):
        place = hub.snapshot_download(
            repo, revision=known.sha, allow_patterns=patterns, force_download=afresh
        )
    return Path(place)


def _commit(hub: HfApi, repo: str, folders: Mapping[str, Path], more: Mapping[str, bytes]) -> None:
    from huggingface_hub import CommitOperationAdd

    changes = [
        CommitOperationAdd(f"{_place(name)}/{file}", data)
        for name, folder in folders.items()
        for file, data in _published(folder).items()
    ]
    changes += [CommitOperationAdd(name, data) for name, data in more.items()]
    what = next(iter(folders)) if len(folders) == 1 else f"{len(folders)} prompts"
    with _clear_errors(repo, "the upload broke off"):
        hub.create_commit(repo, changes, commit_message=f"promptgraft push: {what}")


def _folders(known: ModelInfo) -> dict[str, str]:
    """Name -> folder of the prompts in a repository; what else it holds is passed over.

    As in a library, a prompt may also lie beside the shards, and the one in its shard counts.
    """
    paths = [PurePosixPath(sibling.rfilename) for sibling in known.siblings or []]
    found = {}
    for path in sorted(paths, key=lambda path: len(path.parts)):
        folder = path.parent.name
        with suppress(PromptgraftError):  # a folder of another kind
            name = names.from_folder(folder)
            if path.name == CARD and str(path.parent) in (folder, _place(name)):
                found[name] = str(path.parent)
    return found


def _nothing(repo: str, pattern: str, known: Sequence[str]) -> str:
    if not known:
        return (
            f"{repo} has no prompts. Expected folders such as "
            f"{_place('sst2@mini/bert-s')}, as promptgraft push writes them."
        )
    return f"{repo} has no prompt like {pattern}; it has {', '.join(sorted(known)[:10])}."


@contextmanager
def _clear_errors(repo: str, failed: str) -> Iterator[None]:
    """What the hub's package raises, as one line with the way out."""
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        RevisionNotFoundError,
    )

    try:
        yield
    except HFValidationError:
        raise PromptgraftError(f"{repo!r} is no name on the hub; expected user/name.") from None
    except GatedRepoError as error:
        raise PromptgraftError(
            f"{repo} is gated: accept its terms on its page, then run hf auth login."
        ) from error
    except RevisionNotFoundError as error:
        raise PromptgraftError(f"{repo} has no such branch, tag or commit.") from error
    except HfHubHTTPError as error:
        reason = error.server_message or _line(error)
        refused = error.response.status_code in (401, 403)
        way_out = " Run hf auth login with a token that may do this, or set HF_TOKEN."
        raise PromptgraftError(
            f"{repo}: the hub refused: {reason}{way_out if refused else ''}"
        ) from error
    except Exception as error:  # the classes differ between versions of the hub's HTTP library
        raise PromptgraftError(f"{repo}: {failed}: {_line(error)}") from error


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
