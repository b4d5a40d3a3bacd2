"""PEFT's adapter folders: prompt tuning, prefix tuning, P-tuning, multitask prompt tuning.

    adapter_config.json          the method and the sizes
    adapter_model.safetensors    prompt_embeddings [P · S, D], S = num_transformer_submodules; for
                                 prefix tuning [P, 2 L H_kv d_head], key and value of each layer in
                                 turn; for multitask prompt tuning also the factors of every task,
                                 prefix_task_cols [tasks, P · S, r] and _rows [tasks, r, D]; for
                                 sequence classification the head (classifier.py)

PEFT puts virtual tokens before everything, the tokenizer's own first tokens too. An imported prompt
says so in its template; a prompt that stands elsewhere cannot be exported. Behind a prefix PEFT
counts positions on; so does promptgraft in causal models, elsewhere the text keeps its own, so that
only prefixes of causal models mean the same to both.
"""

import json
import re
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

import promptgraft
from promptgraft import files
from promptgraft.errors import BadFileError, PromptgraftError, WrongModelError
from promptgraft.library.formats import classifier
from promptgraft.library.formats.base import base_of
from promptgraft.library.formats.tensors import refuse_pickle
from promptgraft.models import FrozenModel
from promptgraft.models.prompted import PLAIN
from promptgraft.models.template import Start, Text, Virtual, parse
from promptgraft.prompts import ModelReference, Prefix, Prompt, PromptCard, SoftPrompt, now
from promptgraft.prompts.card import Family

CONFIG, TENSORS = "adapter_config.json", "adapter_model.safetensors"
SOFT = ("PROMPT_TUNING", "P_TUNING", "MULTITASK_PROMPT_TUNING")
TYPES = (*SOFT, "PREFIX_TUNING")
FAMILIES: dict[str, Family] = {
    "CAUSAL_LM": "causal",
    "SEQ_2_SEQ_LM": "seq2seq",
    "FEATURE_EXTRACTION": "masked",
}
HEADED = "SEQ_CLS"
TEMPLATES: dict[Family, str] = {
    "causal": "{prompt}{start}{source}",
    "seq2seq": "{prompt}{start}{source}",
    "masked": "{prompt}{start}{source} {mask}.",
}
NO_PREFIX: dict[Family, str] = {
    "seq2seq": "PEFT has a prefix for the decoder's self-attention alone, at positions before the "
    "text's, which counts on from it, and of an even number of layers it never reads every second; "
    "promptgraft's text keeps its own positions. Use a soft prompt.",
    "masked": "PEFT has a prefix from which the text's positions count on; promptgraft's text "
    "keeps its own positions there. Use a soft prompt.",
}


def read(
    folder: Path, model: FrozenModel | None = None, task: str | None = None, task_id: int = 0
) -> Prompt:
    """The prompt of an adapter folder.

    model    that the folder belongs to; None if it is not at hand
    task     for the card; default the folder's name
    task_id  whose factors to take, for multitask prompt tuning

    Raises BadFileError for pickles and damaged files, PromptgraftError for what is no prompt and
    for what PEFT computes and promptgraft does not.
    """
    config = _config(folder)
    kind, family = _kinds(folder, config)
    tensors = _tensors(folder)
    table = tensors.get("prompt_embeddings")
    if table is None or table.ndim != 2:
        raise BadFileError(f"{folder / TENSORS}: no prompt_embeddings; found {sorted(tensors)}.")
    length = _number(folder, config, "num_virtual_tokens")
    if kind == "MULTITASK_PROMPT_TUNING":
        table = _of_task(folder, config, tensors, task_id)
    name = str(config.get("base_model_name_or_path") or "unknown")
    if model is not None and model.family != family:
        raise PromptgraftError(
            f"{folder} is for task type {config['task_type']}; {model.name} is {model.family}."
        )
    size = table.shape[1] if kind in SOFT else model.embedding_size if model else 0
    if kind not in SOFT and model is None:
        size = _number(folder, config, "token_dim")  # as far as one can know
    base = base_of(model or name, size, family)
    origin = f"imported from PEFT {config.get('peft_version', '')} ({kind})"
    if kind not in SOFT and family != "causal":
        why = f"{folder} is a prefix for {config['task_type']}; {NO_PREFIX[family]}"
        raise PromptgraftError(why)
    if kind in SOFT:
        card = _card("soft-prompt", length, base, task or folder.name, kind, origin)
        return SoftPrompt(table[:length], card)
    layers = _number(folder, config, "num_layers")
    heads = _number(folder, config, "num_attention_heads")
    if table.shape[0] != length or table.shape[1] % (2 * layers * heads):
        raise BadFileError(
            f"{folder / TENSORS}: prompt_embeddings {list(table.shape)}; {CONFIG} says {length} "
            f"virtual tokens, {layers} layers and {heads} heads of keys and values."
        )
    site = table.view(length, layers, 2, heads, -1).permute(1, 2, 0, 3, 4)
    form = layers, heads, site.shape[-1]
    if model is not None and form != model.geometry.sites["self"]:
        raise WrongModelError(
            f"{folder} holds keys and values of (layers, heads, size) {form}; those of "
            f"{model.name} are {model.geometry.sites['self']}. Name the model it was tuned on."
        )
    card = _card("prefix", length, base, task or folder.name, kind, origin)
    return Prefix({"self": site.contiguous()}, card)


def base_name(folder: Path) -> str | None:
    """The name of the model that an adapter folder is for, if it says so."""
    name = _config(folder).get("base_model_name_or_path")
    return str(name) if name else None


def write(
    prompt: Prompt,
    model: FrozenModel,
    folder: Path,
    kind: str | None = None,
    task_type: str | None = None,
) -> None:
    """An adapter folder for `PeftModel.from_pretrained`, there whole or not at all; other files of
    a folder that is there stay.

    kind       PROMPT_TUNING (the default for soft prompts), P_TUNING, MULTITASK_PROMPT_TUNING (one
               task, number 0) or PREFIX_TUNING
    task_type  default CAUSAL_LM or SEQ_2_SEQ_LM; for masked models FEATURE_EXTRACTION, which also
               runs their masked heads. SEQ_CLS, of causal models: a classifier of the label words

    Raises PromptgraftError with the reason for what PEFT cannot express.
    """
    model.check(prompt)
    allowed = SOFT if isinstance(prompt, SoftPrompt) else ("PREFIX_TUNING",)
    kind = kind or allowed[0]
    if kind not in allowed:
        raise PromptgraftError(
            f"a {prompt.kind} cannot be written as {kind}; expected {' or '.join(allowed)}."
        )
    family = model.family
    usual = next(name for name, own in FAMILIES.items() if own == family)
    task_type = task_type or usual
    if task_type not in (usual, HEADED):
        raise PromptgraftError(
            f"{model.name} is {family}: its task type is {usual} or {HEADED}, not {task_type}."
        )
    head = {classifier.NAME: classifier.head(prompt, model)} if task_type == HEADED else {}
    _check_place(prompt, model)
    submodules = 2 if family == "seq2seq" and kind != "MULTITASK_PROMPT_TUNING" else 1
    config: dict[str, Any] = {
        "auto_mapping": None,
        "base_model_name_or_path": model.name,
        "inference_mode": True,
        "modules_to_save": ["score"] if head else None,
        "num_transformer_submodules": submodules,
        "num_virtual_tokens": len(prompt),
        "peft_type": kind,
        "revision": model.reference.revision,
        "task_type": task_type,
    }
    if isinstance(prompt, SoftPrompt):
        tensors, sizes = _soft(prompt, model, kind, submodules)
    else:
        tensors, sizes = _prefix(prompt)
    whole = files.whole_files if folder.is_dir() else files.whole_folder
    with whole(folder) as new:
        text = json.dumps(config | sizes, indent=2, sort_keys=True)
        (new / CONFIG).write_text(text + "\n")
        safetensors.torch.save_file(tensors | head, new / TENSORS, {"format": "pt"})


def _soft(
    prompt: SoftPrompt, model: FrozenModel, kind: str, submodules: int
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors, and the method's own fields of the configuration."""
    layers, heads, _ = next(iter(model.geometry.sites.values()))
    vectors = prompt.vectors
    tensors = {"prompt_embeddings": vectors.repeat(submodules, 1)}
    sizes: dict[str, Any] = {
        "num_attention_heads": heads,
        "num_layers": layers,
        "token_dim": vectors.shape[1],
    }
    if kind == "P_TUNING":
        sizes |= {
            "encoder_reparameterization_type": "MLP",
            "encoder_hidden_size": vectors.shape[1],
            "encoder_num_layers": 2,
            "encoder_dropout": 0.0,
        }
    else:
        sizes |= {"prompt_tuning_init": "RANDOM", "tokenizer_name_or_path": model.name}
    if kind == "MULTITASK_PROMPT_TUNING":
        tensors["prefix_task_cols"] = torch.ones(1, submodules * len(prompt), 1)
        tensors["prefix_task_rows"] = torch.ones(1, 1, vectors.shape[1])
        sizes |= {"num_ranks": 1, "num_tasks": 1}
    return tensors, sizes


def _prefix(prompt: Prefix) -> tuple[dict[str, Tensor], dict[str, Any]]:
    family = prompt.card.base.family
    if family != "causal":
        sites = " and ".join(prompt.sites)
        raise PromptgraftError(
            f"{prompt.card.title} is a prefix for {sites} attention of a {family} model; "
            f"{NO_PREFIX[family]}"
        )
    site = prompt.sites["self"]
    layers, _, length, heads, size = site.shape
    table = site.permute(2, 0, 1, 3, 4).reshape(length, -1).contiguous()
    sizes = {
        "encoder_hidden_size": heads * size,
        "num_attention_heads": heads,
        "num_layers": layers,
        "prefix_projection": False,
        "token_dim": heads * size,
    }
    return {"prompt_embeddings": table}, sizes


def _check_place(prompt: Prompt, model: FrozenModel) -> None:
    """Virtual tokens must stand before everything, as PEFT puts them."""
    template = parse(prompt.card.template or PLAIN[model.family])
    pieces = [p for p in template.pieces if not (isinstance(p, Text) and p.is_blank)]
    slots = [piece for piece in pieces if isinstance(piece, Virtual)]
    if isinstance(prompt, Prefix):
        if pieces and slots and pieces[0] not in (*slots, Start()):
            raise PromptgraftError(
                f"the template {template.source!r} has text before the prefix; PEFT puts the "
                "prefix before everything."
            )
        return
    if len(slots) > 1 or not isinstance(pieces[0], Virtual):
        raise PromptgraftError(
            f"the template {template.source!r} has virtual tokens inside the text; PEFT puts all "
            f"of them before everything. Tune with template={_in_front(template.source)!r}."
        )
    if model.encoder.first and not (len(pieces) > 1 and isinstance(pieces[1], Start)):
        first = " ".join(model.tokenizer.convert_ids_to_tokens(model.encoder.first))
        raise PromptgraftError(
            f"the template {template.source!r} has virtual tokens behind {first}; PEFT puts them "
            f"before it. Tune with template={_in_front(template.source)!r}."
        )


def _in_front(template: str) -> str:
    """The same template with all virtual tokens before everything."""
    text = re.sub(r"\s*\{(prompt(:\d+)?|start)\}\s*", " ", template)
    return "{prompt}{start}" + text.strip()


def _config(folder: Path) -> dict[str, Any]:
    file = folder / CONFIG
    try:
        config = json.loads(file.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        raise BadFileError(f"{file}: missing; expected a folder that PEFT saved.") from None
    except ValueError as error:
        raise BadFileError(f"{file}: damaged or not JSON ({error}).") from error
    if not isinstance(config, dict):
        raise BadFileError(f"{file}: {type(config).__name__}; expected a JSON object.")
    return config


def _kinds(folder: Path, config: dict[str, Any]) -> tuple[str, Family]:
    kind, task = str(config.get("peft_type")), str(config.get("task_type"))
    if kind not in TYPES:
        raise PromptgraftError(f"{folder} holds {kind}; expected one of {', '.join(TYPES)}.")
    if task not in FAMILIES:
        raise PromptgraftError(
            f"{folder} is for task type {task}: the prompt was trained with a head of its own, "
            f"which promptgraft's models do not have. Expected {', '.join(FAMILIES)}. "
            + _numbers_alone(folder, kind, config.get("base_model_name_or_path") or "MODEL")
        )
    return kind, FAMILIES[task]


def _numbers_alone(folder: Path, kind: str, model: str) -> str:
    """How the numbers of a folder can be taken in without its head."""
    if kind == "PREFIX_TUNING":
        return "Keys and values do not come in without it."
    if kind == "MULTITASK_PROMPT_TUNING":
        return (
            "Its numbers alone: save what get_prompt(1, task_ids)[0] of the PeftModel is as "
            "safetensors, and import that file with --tensor."
        )
    return (
        f"Its numbers alone: promptgraft import --tensor {folder / TENSORS} --key "
        f"prompt_embeddings --model {model}"
    )


def _tensors(folder: Path) -> dict[str, Tensor]:
    file = folder / TENSORS
    if not file.exists():
        for other in sorted(folder.glob("adapter_model.*")):
            refuse_pickle(other)
        raise BadFileError(f"{file}: missing; expected a folder that PEFT saved.")
    refuse_pickle(file)
    try:
        return {name: tensor.float() for name, tensor in safetensors.torch.load_file(file).items()}
    except SafetensorError as error:
        raise BadFileError(f"{file}: damaged, or not a safetensors file ({error}).") from error


def _of_task(
    folder: Path, config: dict[str, Any], tensors: dict[str, Tensor], task_id: int
) -> Tensor:
    """The prompt of one task: embeddings ⊙ (columns @ rows)."""
    if config.get("num_transformer_submodules") == 2:
        raise PromptgraftError(
            f"{folder} puts virtual tokens before the decoder too (num_transformer_submodules 2), "
            "in front of its first token; promptgraft's decoders begin with that token."
        )
    try:
        columns, rows = tensors["prefix_task_cols"], tensors["prefix_task_rows"]
    except KeyError as error:
        raise BadFileError(f"{folder / TENSORS}: no {error}; found {sorted(tensors)}.") from None
    if not 0 <= task_id < len(columns):
        raise PromptgraftError(f"{folder} has tasks 0 to {len(columns) - 1}, not {task_id}.")
    return tensors["prompt_embeddings"] * (columns[task_id] @ rows[task_id])


def _number(folder: Path, config: dict[str, Any], name: str) -> int:
    number = config.get(name)
    if not isinstance(number, int) or number < 1:
        raise BadFileError(f"{folder / CONFIG}: {name} is {number!r}; expected a number above 0.")
    return number


def _card(
    kind: Any, length: int, base: ModelReference, task: str, method: str, origin: str
) -> PromptCard:
    return PromptCard(
        kind=kind,
        length=length,
        base=base,
        task=task,
        template=TEMPLATES[base.family],
        method=f"peft:{method.lower().replace('_', '-')}",
        library_version=promptgraft.__version__,
        created=now(),
        notes=origin,
    )
