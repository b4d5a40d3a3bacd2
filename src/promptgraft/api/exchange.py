"""Take prompts in from other programs, and hand them out."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from promptgraft import files, minis
from promptgraft.api.names import library_name, model_for, refuse_modules, resolve
from promptgraft.errors import ConfigError, PromptgraftError
from promptgraft.library import Library
from promptgraft.library.formats import base_of, peft, tensors, vllm
from promptgraft.models import FrozenModel
from promptgraft.prompts import Prompt
from promptgraft.prompts.card import Family


def import_peft(
    folder: Path | str,
    *,
    model: str | FrozenModel | None = None,
    task: str | None = None,
    task_id: int = 0,
    tag: str | None = None,
    replace: bool = False,
    library: Library | None = None,
) -> tuple[str, str | None]:
    """Keep the prompt of a folder that PEFT saved.

    model    default: the one that the folder names, if it is at hand
    task_id  whose prompt, of multitask prompt tuning

    Returns its name, and why its model could not be loaded to check it, or None. Raises what
    `formats.peft.read` raises.
    """
    folder = Path(folder)
    loaded, reason = _at_hand(model or peft.base_name(folder), required=model is not None)
    prompt = peft.read(folder, loaded, task, task_id)
    return _keep(library, prompt, tag, replace), reason


def import_tensors(
    file: Path | str,
    *,
    model: str | FrozenModel,
    key: str | None = None,
    family: Family | None = None,
    task: str | None = None,
    template: str | None = None,
    rows: slice | None = None,
    tag: str | None = None,
    replace: bool = False,
    library: Library | None = None,
) -> tuple[list[str], str | None]:
    """Keep the soft prompts of a safetensors or .npy file: one key, or all of them.

    model  if it is not at hand, the prompts are taken on trust: they fit a model of its name,
           family and size, and the card has no fingerprint
    task   default: the key
    rows   the virtual tokens to take, of every tensor; default all

    Returns their names, and why the model could not be loaded, or None.
    """
    file = Path(file)
    loaded, reason = _at_hand(model, required=False)
    found = tensors.read(file, key)
    if task is not None and len(found) > 1:
        raise ConfigError(f"{file} has {len(found)} prompts; task names one. Give its key.")
    prompts = []
    for name, vectors in found.items():
        part = vectors if rows is None else vectors[rows]
        if not len(part):
            raise ConfigError(f"{file}, {name}: of its {len(vectors)} rows none is chosen.")
        base = base_of(loaded or str(model), vectors.shape[1], family)
        origin = f"{file.name}, {name}"
        prompts.append(tensors.soft_prompt(part, base, task or name, origin, template))
    store = library or Library()
    names = [library_name(prompt.card, tag) for prompt in prompts]
    taken = [] if replace else [name for name in names if name in store]
    if taken:
        raise PromptgraftError(
            f"{', '.join(taken[:5])} is in {store.path} already; nothing was taken in. Give a tag, "
            "or --replace them."
        )
    return [store.add(p, n, replace=replace) for p, n in zip(prompts, names, strict=True)], reason


def export(
    prompt: str | Prompt,
    to: Path | str,
    format: str = "peft",
    *,
    model: str | FrozenModel | None = None,
    replace: bool = False,
    library: Library | None = None,
    **settings: Any,
) -> Path:
    """Write a prompt for another program; returns the folder or file.

    format    "peft": a folder for PeftModel.from_pretrained (`kind`: PROMPT_TUNING, ...;
              `task_type`: SEQ_CLS for a classifier of a causal prompt's label words);
              "prompt-embeds": a JSON request to vLLM (`text`, `max_tokens`, ...)
    model     default: the one that the prompt was made for
    replace   write over a file that is there, or over the adapter in a folder

    Raises ConfigError if something is there (without `replace`), PromptgraftError with the reason
    for what the other program cannot take.
    """
    writers: dict[str, Callable[..., None]] = {"peft": peft.write, "prompt-embeds": _write_request}
    if format not in writers:
        raise ConfigError(f"There is no format {format!r}; try {' or '.join(writers)}.")
    to = Path(to)
    if not replace and to.exists() and not (to.is_dir() and not any(to.iterdir())):
        raise ConfigError(f"{to} is there already. Name another path, or use --force (replace).")
    value = resolve(prompt, library) if isinstance(prompt, str) else prompt
    frozen = model_for(value, model)
    refuse_modules(prompt, value, frozen, library)
    writers[format](value, frozen, to, **settings)
    return to


def _write_request(
    prompt: Prompt, model: FrozenModel, file: Path, text: str, **settings: Any
) -> None:
    request = vllm.request(prompt, model, text, **settings)
    with files.whole_file(file) as temporary:
        temporary.write_text(json.dumps(request))


def _at_hand(
    model: str | FrozenModel | None, required: bool
) -> tuple[FrozenModel | None, str | None]:
    """The model, or None and the reason why it cannot be loaded.

    Raises PromptgraftError if it is required, and for the name of a mini that there is not: minis
    are always at hand.
    """
    if model is None or isinstance(model, FrozenModel):
        return model, None
    try:
        return FrozenModel.load(model), None
    except PromptgraftError as error:
        if required or model.startswith(minis.PREFIX):
            raise
        return None, str(error)


def _keep(library: Library | None, prompt: Prompt, tag: str | None, replace: bool) -> str:
    store = library or Library()
    return store.add(prompt, library_name(prompt.card, tag), replace=replace)
