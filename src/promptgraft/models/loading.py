"""From a name to a model in memory: minis, local folders, the hub; device and dtype."""

import hashlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging

from promptgraft import files, minis
from promptgraft.errors import ConfigError, PromptgraftError, did_you_mean
from promptgraft.models.geometry import family_of
from promptgraft.prompts.card import Family

AUTO: dict[Family, Any] = {
    "causal": AutoModelForCausalLM,
    "seq2seq": AutoModelForSeq2SeqLM,
    "masked": AutoModelForMaskedLM,
}
CACHE = Path.home() / ".cache" / "promptgraft"
HUB_SECONDS = 5.0


def load_config(name: str, revision: str | None = None) -> PretrainedConfig:
    """The configuration of a model; reads no weights."""
    config: PretrainedConfig = _from(AutoConfig, name, revision)
    return config


def load_model(name: str, revision: str | None = None) -> PreTrainedModel:
    """The model in the dtype it is stored in, in evaluation mode, with every weight frozen."""
    family = family_of(load_config(name, revision))
    with _no_bars():
        model: PreTrainedModel = _from(AUTO[family], name, revision, dtype="auto")
    return model


def is_at_hand(name: str) -> bool:
    """Whether a model is on this machine: a mini, a folder, or in the hub's cache."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    if minis.folder(name) or Path(name).expanduser().is_dir():
        return True
    try:
        return isinstance(try_to_load_from_cache(name, "config.json"), str)
    except HFValidationError:  # no name of the hub
        return False


def save_model(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Write both to a folder, which is there whole or not at all."""
    with files.whole_folder(folder) as new, _no_bars():
        model.save_pretrained(new)
        tokenizer.save_pretrained(new)


@contextmanager
def _no_bars() -> Iterator[None]:
    """Without the bars of reading and writing files; downloads keep theirs."""
    bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        if bars:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]


def load_tokenizer(name: str, revision: str | None = None) -> PreTrainedTokenizerBase:
    """The model's fast tokenizer."""
    tokenizer: PreTrainedTokenizerBase = _from(AutoTokenizer, name, revision)
    return tokenizer


def _from(auto: Any, name: str, revision: str | None, **settings: Any) -> Any:
    folder = minis.folder(name) or Path(name).expanduser()
    local = folder.is_dir()
    if name.startswith(minis.PREFIX) and not local:
        near = did_you_mean(name, minis.names())
        raise PromptgraftError(f"There is no {name}; the minis are {_minis()}.{near}")
    if name.startswith((".", "/", "~")) and not local:
        raise PromptgraftError(f"There is no folder {folder} to load a model from.")
    offline = not local and not hub_answers()
    try:
        return auto.from_pretrained(
            str(folder) if local else name,
            revision=None if local else revision,
            local_files_only=local or offline,
            **settings,
        )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        if local:
            raise PromptgraftError(f"Cannot load the model in {folder}: {reason}") from error
        if offline:
            reason = "the hub does not answer, and it is not in the hub's cache on this machine."
        raise PromptgraftError(
            f"Cannot load {name!r}: it is no mini ({_minis()}) and no folder; as a model of the "
            f"hub: {reason}"
        ) from error


def _minis() -> str:
    return ", ".join(minis.names()) or "none here"


def hub_answers() -> bool:
    """Whether the hub can be reached: one short question, where transformers would try again for
    half a minute for every file. It is asked again after a minute at most."""
    from huggingface_hub import constants

    return not constants.HF_HUB_OFFLINE and _hub_answered(int(time.monotonic() / 60))


@cache
def _hub_answered(_minute: int) -> bool:
    from huggingface_hub import constants, get_session

    try:
        get_session().head(constants.ENDPOINT, timeout=HUB_SECONDS)
    except Exception:  # whatever the session's transport raises
        return False
    return True


def fingerprint(model: PreTrainedModel) -> str:
    """SHA-256 over the architecture fields and the input-embedding bytes.

    The embeddings count in bfloat16, so that the same weights loaded in float32 and in bfloat16
    have one fingerprint.
    """
    config = model.config
    fields = {
        key: value
        for key, value in sorted(config.to_dict().items())
        if key.startswith(
            ("hidden_size", "num_", "n_", "d_", "head_dim", "vocab_size", "embedding")
        )
        or key.endswith(("_layers", "_heads", "_dim", "model_type"))
    }
    digest = hashlib.sha256(json.dumps(fields, sort_keys=True, default=str).encode())
    weight = next(model.get_input_embeddings().parameters())
    table = weight.detach().to("cpu", torch.bfloat16).contiguous()
    digest.update(table.view(torch.uint8).numpy().data)
    return digest.hexdigest()


def tokenizer_hash(tokenizer: PreTrainedTokenizerBase) -> str:
    """SHA-256 over the vocabulary and its special tokens."""
    vocabulary = sorted(tokenizer.get_vocab().items())
    text = json.dumps([vocabulary, sorted(map(str, tokenizer.all_special_tokens))])
    return hashlib.sha256(text.encode()).hexdigest()


def device(name: str) -> torch.device:
    """The device of a name; "auto" is `best_device`. Raises ConfigError if there is none."""
    if name == "auto":
        return best_device()
    try:
        place = torch.device(name)
        torch.empty(1, device=place)
    except (RuntimeError, AssertionError, NotImplementedError):
        raise ConfigError(
            f"There is no device {name!r} here; try auto, cpu, cuda or mps."
        ) from None
    return place


def dtype(name: str, place: torch.device) -> torch.dtype:
    """The dtype of a name; "auto" is `best_dtype`. Raises ConfigError if there is none."""
    if name == "auto":
        return best_dtype(place)
    wanted = getattr(torch, name, None)
    if not isinstance(wanted, torch.dtype) or not wanted.is_floating_point:
        raise ConfigError(f"There is no dtype {name!r}; try auto, float32, bfloat16 or float16.")
    return wanted


def best_device() -> torch.device:
    """A CUDA device if there is one, then Apple's, then the processor."""
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))  # by accelerate launch
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def best_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 where the machine multiplies it faster than float32, else float32."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(False) else torch.float32
    if device.type != "cpu":
        return torch.float32
    return torch.bfloat16 if bfloat16_speed() > 1.2 else torch.float32


def bfloat16_speed() -> float:
    """How many times as fast as in float32 this processor multiplies matrices in bfloat16.

    A measurement of a fraction of a second, remembered in the user's cache.
    """
    capability = (
        f"{torch.__version__} {torch.backends.cpu.get_cpu_capability()} {torch.get_num_threads()}"
    )
    record = CACHE / "matmul.json"
    try:
        known: dict[str, float] = json.loads(record.read_text())
    except (OSError, ValueError):
        known = {}
    if capability not in known:
        known[capability] = _seconds(torch.float32) / _seconds(torch.bfloat16)
        try:
            with files.whole_file(record) as temporary:
                temporary.write_text(json.dumps(known, indent=1))
        except (OSError, PromptgraftError):
            pass  # a read-only home costs a new measurement, nothing else
    return known[capability]


def _seconds(dtype: torch.dtype, size: int = 768, repeats: int = 5) -> float:
    """The best time of a product of the size that prompt tuning does most."""
    a = torch.randn(size, size).to(dtype)
    b = torch.randn(size, size).to(dtype)
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        torch.mm(a, b)
        times.append(time.perf_counter() - start)
    return min(times[1:])
