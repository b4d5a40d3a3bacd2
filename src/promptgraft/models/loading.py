"""From a name to a model in memory: minis, local folders, the hub; device and dtype."""

import hashlib
import json
import time
from pathlib import Path
from typing import Any

import torch
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

from promptgraft import files, minis
from promptgraft.errors import PromptgraftError
from promptgraft.models.geometry import Family, family_of

AUTO: dict[Family, Any] = {
    "causal": AutoModelForCausalLM,
    "seq2seq": AutoModelForSeq2SeqLM,
    "masked": AutoModelForMaskedLM,
}
CACHE = Path.home() / ".cache" / "promptgraft"


def load_config(name: str, revision: str | None = None) -> PretrainedConfig:
    """The configuration of a model; reads no weights."""
    config: PretrainedConfig = _from(AutoConfig, name, revision)
    return config


def load_model(name: str, revision: str | None = None) -> PreTrainedModel:
    """The model in the dtype it is stored in, in evaluation mode, with every weight frozen."""
    family = family_of(load_config(name, revision))
    model: PreTrainedModel = _from(AUTO[family], name, revision, dtype="auto")
    return model


def load_tokenizer(name: str, revision: str | None = None) -> PreTrainedTokenizerBase:
    """The model's fast tokenizer."""
    tokenizer: PreTrainedTokenizerBase = _from(AutoTokenizer, name, revision)
    return tokenizer


def _from(auto: Any, name: str, revision: str | None, **settings: Any) -> Any:
    folder = minis.folder(name)
    if name.startswith(minis.PREFIX) and folder is None:
        raise PromptgraftError(f"There is no {name}; the minis are {', '.join(minis.names())}.")
    try:
        return auto.from_pretrained(str(folder or name), revision=revision, **settings)
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise PromptgraftError(
            f"Cannot load {name!r}: it is not a mini ({', '.join(minis.names())}), and as a local "
            f"folder or a model of the hub it gave: {reason}"
        ) from error


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


def best_device() -> torch.device:
    """A CUDA device if there is one, then Apple's, then the processor."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def best_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 where the machine multiplies it faster than float32, else float32.

    On a processor this is a measurement of a fraction of a second, remembered in the user's cache.
    """
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(False) else torch.float32
    if device.type != "cpu":
        return torch.float32
    capability = (
        f"{torch.__version__} {torch.backends.cpu.get_cpu_capability()} {torch.get_num_threads()}"
    )
    record = CACHE / "matmul.json"
    try:
        known = json.loads(record.read_text())
    except (OSError, ValueError):
        known = {}
    if capability not in known:
        known[capability] = _seconds(torch.float32) / _seconds(torch.bfloat16)
        try:
            with files.whole_file(record) as temporary:
                temporary.write_text(json.dumps(known, indent=1))
        except OSError:
            pass  # a read-only home costs a new measurement, nothing else
    return torch.bfloat16 if known[capability] > 1.2 else torch.float32


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
