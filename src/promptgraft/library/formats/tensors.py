"""Soft prompts that are nothing but numbers: safetensors files and NumPy's .npy.

PTfer and OptiPrompt keep theirs in .npy files of ten rows, of which their templates use five.
"""

from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

import promptgraft
from promptgraft.errors import BadFileError, PromptgraftError, did_you_mean
from promptgraft.prompts import ModelReference, PromptCard, SoftPrompt, now
from promptgraft.prompts.storage import PICKLES, is_pickle


def read(file: Path, key: str | None = None) -> dict[str, Tensor]:
    """The tensors [P, D] of a file by key, as float32; of a .npy file by the file's name.

    key  one of a safetensors file; None: all

    Raises BadFileError for a pickle and a damaged file, PromptgraftError for a key that is not
    there and for other shapes.
    """
    if not file.is_file():
        raise BadFileError(f"{file}: no such file; expected .safetensors or .npy.")
    found = {file.stem: _numpy(file)} if file.suffix == ".npy" else _safetensors(file, key)
    for name, tensor in found.items():
        if tensor.ndim != 2 or not tensor.numel() or not tensor.is_floating_point():
            raise PromptgraftError(
                f"{file}, {name}: {str(tensor.dtype).removeprefix('torch.')} of shape "
                f"{list(tensor.shape)}; a soft prompt is floating numbers [P, D]."
            )
    return {name: tensor.float() for name, tensor in found.items()}


def soft_prompt(
    vectors: Tensor, base: ModelReference, task: str | None, origin: str, template: str | None
) -> SoftPrompt:
    """A prompt of raw numbers [P, D]; `origin` says in the card's notes where they come from."""
    card = PromptCard(
        kind="soft-prompt",
        length=len(vectors),
        base=base,
        task=task,
        template=template,
        method="imported",
        library_version=promptgraft.__version__,
        created=now(),
        notes=f"imported from {origin}",
    )
    return SoftPrompt(vectors, card)


def _safetensors(file: Path, key: str | None) -> dict[str, Tensor]:
    refuse_pickle(file)
    try:
        with safe_open(file, "pt") as opened:
            keys = list(opened.keys())
            if key is not None and key not in keys:
                raise PromptgraftError(
                    f"{file} has no tensor {key!r}.{did_you_mean(key, keys)} "
                    f"It has {', '.join(keys[:30])}{', …' if len(keys) > 30 else ''}."
                )
            return {name: opened.get_tensor(name) for name in (keys if key is None else [key])}
    except SafetensorError as error:
        raise BadFileError(f"{file}: damaged, or not a safetensors file ({error}).") from error


def _numpy(file: Path) -> Tensor:
    try:
        array = np.load(file, allow_pickle=False)
        return torch.from_numpy(np.ascontiguousarray(array, array.dtype.newbyteorder("=")))
    except (ValueError, EOFError, TypeError) as error:
        raise BadFileError(
            f"{file}: damaged, or holds Python objects, which are never opened ({error})."
        ) from error


def refuse_pickle(file: Path) -> None:
    """Raise BadFileError for a file that only unpickling could read."""
    with file.open("rb") as opened:
        begin = opened.read(9)
    if file.suffix in PICKLES or is_pickle(begin):
        raise BadFileError(
            f"{file}: a pickle, which is never opened: it may run any program. "
            "Write the tensors as safetensors where the file comes from."
        )
