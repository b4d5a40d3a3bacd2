"""Names of prompts, `task@model` or `task@model:tag`, and the folders they are kept in.

Task and model may hold slashes (`sst2@google/flan-t5-small:v2`). A name is one folder; what no
file system takes is written in hexadecimal: `sst2@google%2Fflan-t5-small%3Av2`.
"""

import re
import unicodedata
from urllib.parse import unquote

from promptgraft.errors import PromptgraftError

_NAME = re.compile(r"[^@:]+@[^@:]+(:[^@:/]+)?")
_ENCODED = re.compile(r'[%/:<>"|]')
_LONGEST = 200  # bytes of the folder's name: file systems stop at 255, temporary names are longer


def check(name: str) -> str:
    """The name with its letters composed (NFC); a PromptgraftError if it cannot be one."""
    name = unicodedata.normalize("NFC", name)
    parts = re.split("[@:/]", name)
    reason = None
    if not _NAME.fullmatch(name):
        reason = "its form"
    elif not name.isprintable() or re.search(r"[*?\[\]\\]", name):
        reason = "it has control characters, backslashes or any of *?[]"
    elif any(part.startswith(".") or part != part.strip() or not part for part in parts):
        reason = "a part of it is empty, begins with a dot or has spaces around it"
    elif len(to_folder(name).encode()) > _LONGEST:
        reason = f"longer than {_LONGEST} bytes"
    if reason:
        raise PromptgraftError(
            f"{name!r} cannot name a prompt: {reason}. "
            "Expected task@model or task@model:tag, e.g. sst2@mini/bert-s:v2"
        )
    return name


def model_of(name: str) -> str:
    """What stands between @ and the tag."""
    return re.split("[@:]", name)[1]


def to_folder(name: str) -> str:
    return _ENCODED.sub(lambda found: f"%{ord(found[0]):02X}", name)


def from_folder(folder: str) -> str:
    """The name that is kept in this folder; a PromptgraftError if none would be."""
    name = check(unquote(folder))
    if to_folder(name) != folder:
        raise PromptgraftError(f"the folder of {name} would be {to_folder(name)}, not {folder}.")
    return name
