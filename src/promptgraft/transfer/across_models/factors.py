"""Cholesky factors that are worth keeping: on disk, by target model, anchor words and ridge."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from promptgraft import files
from promptgraft.errors import PromptgraftError
from promptgraft.models import loading
from promptgraft.transfer.across_models.method import Space

MOST = 16  # files; the longest unused go first


def cached(target: Space, ridge: float, make: Callable[[], Tensor]) -> Tensor:
    """The factor [D, D] for a target, from the cache or made and kept.

    What is damaged is made again; where the cache cannot be written, nothing is kept.
    """
    facts = [target.model.reference.fingerprint, target.frame, target.words, ridge]
    key = hashlib.sha256(json.dumps(facts).encode()).hexdigest()
    path = loading.CACHE / "factors" / f"{key[:32]}.safetensors"
    size = target.anchors.shape[1]
    kept = _read(path)
    if kept is not None and kept.shape == (size, size):
        return kept
    factor = make()
    try:
        with files.whole_file(path) as temporary:
            save_file({"factor": factor.contiguous()}, temporary, {"sha256": _digest(factor)})
        for old in sorted(path.parent.glob("*.safetensors"), key=_used)[:-MOST]:
            old.unlink(missing_ok=True)
    except (OSError, PromptgraftError):
        pass  # a full disk or a read-only home costs the time, nothing else
    return factor


def _read(path: Path) -> Tensor | None:
    try:
        with safe_open(path, "pt") as file:
            factor: Tensor = file.get_tensor("factor")
            whole = (file.metadata() or {}).get("sha256") == _digest(factor)
        path.touch()
    except (OSError, SafetensorError):
        return None
    return factor if whole else None


def _digest(factor: Tensor) -> str:
    return hashlib.sha256(factor.contiguous().numpy().data).hexdigest()


def _used(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # another process has deleted it
        return 0.0
