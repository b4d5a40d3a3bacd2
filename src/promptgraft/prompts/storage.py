"""Prompts on disk: a folder with tensors (safetensors), a card (JSON) and a page to read.

    prompt.safetensors   the tensors, float32 or rounded (precision.py); its metadata hold the
                         SHA-256 of the card
    prompt.json          the card, and under "files" the SHA-256 of every other file below
    README.md            the card for people; never read back
    module.safetensors   optional: weights of the module that emitted the prompt, to train on
    module.json          optional: that module's name and settings

So each half vouches for the other, and damage to either is found. Nothing is ever unpickled.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import safetensors.torch
from pydantic import ValidationError
from safetensors import SafetensorError
from torch import Tensor

from promptgraft import files
from promptgraft.errors import BadFileError, NewerFileError, PromptgraftError
from promptgraft.prompts import precision as rounding
from promptgraft.prompts.card import SCHEMA_VERSION, PromptCard
from promptgraft.prompts.precision import Precision
from promptgraft.prompts.readme import readme
from promptgraft.prompts.values import Prefix, Prompt, SoftPrompt

CARD, TENSORS, README = "prompt.json", "prompt.safetensors", "README.md"
MODULE, MODULE_TENSORS = "module.json", "module.safetensors"
FILES = (CARD, TENSORS, README, MODULE, MODULE_TENSORS)

PICKLES = {".bin", ".ckpt", ".pickle", ".pkl", ".pt", ".pth"}
_AGAIN = "Copy or save the prompt again."

Result = TypeVar("Result")


class ModuleState(NamedTuple):
    """A prompt module as it is stored: what it is (JSON values) and its weights."""

    settings: dict[str, Any]
    tensors: dict[str, Tensor]


def save(
    prompt: Prompt,
    folder: Path | str,
    module: ModuleState | None = None,
    precision: Precision = "float32",
) -> None:
    """Write a prompt, with its module or without, so that it is there whole or not at all.

    A prompt that was in the folder is replaced, other files in it are left alone, a README.md of
    another subject too. The same prompt gives the same bytes.
    """
    folder = Path(folder)
    contents = encode(prompt, module, precision)
    if folder.is_dir():
        files.heal(folder)
        if not (folder / CARD).exists() and (folder / README).exists():
            del contents[README]
        with files.whole_files(folder) as new:
            write(contents, new)
        for name in {MODULE, MODULE_TENSORS} - contents.keys():  # of the prompt that was there
            (folder / name).unlink(missing_ok=True)
    else:
        with files.whole_folder(folder) as new:
            write(contents, new)


def load(folder: Path | str) -> Prompt:
    """Read a prompt back, bit for bit. Anything wrong with it is a BadFileError."""
    return _read_steadily(Path(folder), _load)


def load_card(folder: Path | str) -> PromptCard:
    """Read the card alone, without the tensors that would vouch for it."""
    return _read_steadily(Path(folder), _load_card)


def load_lone_card(folder: Path | str) -> PromptCard:
    """Read a card where only the card is, such as one fetched from the hub to be listed."""
    return _read_steadily(Path(folder), lambda found: _load_record(found)[0])


def load_module_state(folder: Path | str) -> ModuleState | None:
    """Read the module that was saved with a prompt; None if there is none."""
    return _read_steadily(Path(folder), _load_module_state)


def load_content_hash(folder: Path | str) -> str:
    """The content hash that was written with a prompt, without reading the tensors."""
    return _read_steadily(Path(folder), _load_content_hash)


def encode(
    prompt: Prompt, module: ModuleState | None = None, precision: Precision = "float32"
) -> dict[str, bytes]:
    """The files of a prompt's folder, by name. The same prompt gives the same bytes."""
    tensors = rounding.pack(prompt.tensors(), precision)
    stored = prompt if precision == "float32" else rounding.rounded(prompt, precision)
    contents = {}
    if module is not None:
        weights = {
            name: tensor.detach().to("cpu", copy=True).contiguous()
            for name, tensor in sorted(module.tensors.items())
        }
        contents[MODULE] = _json(module.settings)
        contents[MODULE_TENSORS] = safetensors.torch.save(weights)
    return _under(prompt.card, tensors, stored.content_hash, contents)


def encode_again(folder: Path, card: PromptCard) -> dict[str, bytes]:
    """The files of a prompt's folder under another card, the tensors in the precision they have."""
    hashes = _load_record(folder)[1]
    contents = {name: _checked(folder, name, hashes) for name in hashes}
    tensors = _tensors(contents.pop(TENSORS), folder / TENSORS)
    return _under(card, tensors, _load_content_hash(folder), contents)


def _under(
    card: PromptCard, tensors: dict[str, Tensor], content_hash: str, module: Mapping[str, bytes]
) -> dict[str, bytes]:
    """Tensors as they are stored and the files of a module, with what vouches for them."""
    plain = _plain(card)
    marks = {"card_hash": _card_hash(plain), "content_hash": content_hash}
    # In one string: safetensors writes several in any order, and equal prompts are equal bytes.
    metadata = {"promptgraft": json.dumps(marks, sort_keys=True)}
    contents = {TENSORS: safetensors.torch.save(tensors, metadata), **module}
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()}
    contents[CARD] = _json({**plain, "files": hashes})
    contents[README] = readme(card).encode()
    return contents


def write(contents: Mapping[str, bytes], folder: Path) -> None:
    """Put files into a folder."""
    for name, data in contents.items():
        (folder / name).write_bytes(data)


def _load(folder: Path) -> Prompt:
    card, hashes = _load_record(folder)
    data = _checked(folder, TENSORS, hashes)
    file = folder / TENSORS
    tensors = _tensors(data, file)
    if _marks(data).get("card_hash") != _card_hash(_plain(card)):
        raise BadFileError(
            f"{folder / CARD}: changed after {TENSORS} was written. {_AGAIN} "
            "To edit a card, load the prompt and save prompt.with_card(...)."
        )
    try:
        tensors = rounding.unpack(tensors)
        if card.kind == "prefix":
            return Prefix(tensors, card)
        if set(tensors) != {"input"}:
            raise PromptgraftError(f"tensors {sorted(tensors)}; a soft prompt has ['input'].")
        return SoftPrompt(tensors["input"], card)
    except PromptgraftError as error:
        raise BadFileError(f"{file}: {error}") from error


def _load_card(folder: Path) -> PromptCard:
    card = _load_record(folder)[0]
    if not (folder / TENSORS).exists():
        raise _missing(folder / TENSORS)
    return card


def _load_record(folder: Path) -> tuple[PromptCard, dict[str, str]]:
    """The card and the hashes of the other files."""
    file = folder / CARD
    record = _load_json(file)
    version = record.get("schema_version")
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise NewerFileError(
            f"{file}: schema version {version}; this promptgraft reads up to {SCHEMA_VERSION}. "
            "Upgrade it: pip install --upgrade promptgraft"
        )
    hashes = record.pop("files", None)
    expected = ({TENSORS}, {TENSORS, MODULE, MODULE_TENSORS})
    if not isinstance(hashes, dict) or set(hashes) not in expected:
        raise BadFileError(f"{file}: no list of the prompt's files; not a prompt's card. {_AGAIN}")
    try:
        return PromptCard.model_validate(record), hashes
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors()
        )
        raise BadFileError(f"{file}: not a prompt's card: {problems}. {_AGAIN}") from error


def _load_module_state(folder: Path) -> ModuleState | None:
    hashes = _load_record(folder)[1]
    if MODULE not in hashes:
        return None
    _checked(folder, MODULE, hashes)
    tensors = _tensors(_checked(folder, MODULE_TENSORS, hashes), folder / MODULE_TENSORS)
    return ModuleState(_load_json(folder / MODULE), tensors)


def _read_steadily(folder: Path, read: Callable[[Path], Result]) -> Result:
    """Read a folder that another process may be replacing at this very moment."""
    while True:
        try:
            files.heal(folder)
            before = _stamps(folder)
            return read(folder)
        except BadFileError:
            files.heal(folder)  # waits for a writer that has begun to move its files in
            if _stamps(folder) == before:
                raise
        except OSError as error:
            raise BadFileError(f"{folder}: cannot be read: {error}.") from error


def _stamps(folder: Path) -> dict[str, tuple[int, int]]:
    stamps = {}
    for name in (CARD, TENSORS, MODULE, MODULE_TENSORS):
        try:
            status = (folder / name).stat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        stamps[name] = (status.st_ino, status.st_mtime_ns)
    return stamps


def _load_json(file: Path) -> dict[str, Any]:
    try:
        value = json.loads(_bytes(file))
    except (ValueError, RecursionError) as error:
        raise BadFileError(f"{file}: damaged or not JSON ({error}). {_AGAIN}") from error
    if not isinstance(value, dict):
        raise BadFileError(f"{file}: {type(value).__name__}; expected a JSON object. {_AGAIN}")
    return value


def _checked(folder: Path, name: str, hashes: Mapping[str, str]) -> bytes:
    data = _bytes(folder / name)
    if hashlib.sha256(data).hexdigest() == hashes[name]:
        return data
    if is_pickle(data):
        raise BadFileError(f"{folder / name}: a pickle, which is never opened. {_AGAIN}")
    raise BadFileError(
        f"{folder / name}: damaged or of another prompt ({len(data)} bytes do not have the "
        f"SHA-256 that {CARD} names). {_AGAIN}"
    )


def is_pickle(data: bytes) -> bool:
    """Whether a file that begins so is a pickle, or an archive of some as PyTorch writes them."""
    return data.startswith((b"PK\x03\x04", b"\x80")) and data[8:9] != b"{"  # safetensors' header


def _tensors(data: bytes, file: Path) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load(data)
    except (SafetensorError, KeyError, ValueError) as error:
        raise BadFileError(f"{file}: not a safetensors file ({error}). {_AGAIN}") from error


def _load_content_hash(folder: Path) -> str:
    file = folder / TENSORS
    try:
        with file.open("rb") as opened:
            size = opened.read(8)
            found = _marks(size + opened.read(int.from_bytes(size, "little"))).get("content_hash")
    except (FileNotFoundError, NotADirectoryError):
        raise _missing(file) from None
    except (OverflowError, MemoryError, ValueError):
        found = None
    if not isinstance(found, str):
        raise BadFileError(f"{file}: damaged, or not written by promptgraft. {_AGAIN}")
    return found


def _marks(data: bytes) -> dict[str, Any]:
    """The hashes that `encode` wrote beside the tensors, by name; none if there are none."""
    try:
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        marks = json.loads(header["__metadata__"]["promptgraft"])
    except (KeyError, TypeError, ValueError):
        return {}
    return marks if isinstance(marks, dict) else {}


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise _missing(file) from None


def _missing(file: Path) -> BadFileError:
    folder = file.parent
    if not folder.exists():
        return BadFileError(f"{folder}: no such folder; expected a saved prompt.")
    if not folder.is_dir():
        return BadFileError(
            f"{folder}: a file; expected the folder that was saved, with {CARD} and {TENSORS}."
        )
    pickles = sorted(other.name for other in folder.iterdir() if other.suffix in PICKLES)
    hint = f" {', '.join(pickles)}: pickles are never opened." if pickles else ""
    return BadFileError(f"{file}: missing; a saved prompt has {CARD} and {TENSORS}.{hint}")


def _plain(card: PromptCard) -> dict[str, Any]:
    """The card as JSON values; by way of text, in which NaN becomes a string."""
    plain: dict[str, Any] = json.loads(card.model_dump_json())
    return plain


def _card_hash(card: Mapping[str, Any]) -> str:
    return hashlib.sha256(_json(card)).hexdigest()


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()
