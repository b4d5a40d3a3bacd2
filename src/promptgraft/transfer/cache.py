"""Tensors that are worth keeping on disk: what is damaged is computed again, and where nothing can
be written it costs the time, nothing else."""

import hashlib
from collections.abc import Callable
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from promptgraft import files
from promptgraft.errors import PromptgraftError
from promptgraft.models import loading


def cached(
    kind: str, facts: object, shape: tuple[int, ...], make: Callable[[], Tensor], most: int
) -> Tensor:
    """A tensor from the cache, or made and kept there.

    kind   the folder; of its files the `most` that were used last stay
    facts  all that the tensor depends on; their `repr` tells them apart
    """
    key = hashlib.sha256(repr(facts).encode()).hexdigest()
    path = loading.CACHE / kind / f"{key[:32]}.safetensors"
    kept = _read(path)
    if kept is not None and kept.shape == shape:
        return kept
    made = make()
    try:
        with files.whole_file(path) as temporary:
            save_file({"tensor": made.contiguous()}, temporary, {"sha256": _digest(made)})
        for old in sorted(path.parent.glob("*.safetensors"), key=_used)[:-most]:
            old.unlink(missing_ok=True)
    except (OSError, PromptgraftError):
        pass  # a full disk or a read-only home
    return made


def _read(path: Path) -> Tensor | None:
    try:
        with safe_open(path, "pt") as file:
            tensor: Tensor = file.get_tensor("tensor")
            whole = (file.metadata() or {}).get("sha256") == _digest(tensor)
        path.touch()
    except (OSError, SafetensorError):
        return None
    return tensor if whole else None


def _digest(tensor: Tensor) -> str:
    return hashlib.sha256(tensor.contiguous().numpy().data).hexdigest()


def _used(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # another process has deleted it
        return 0.0
