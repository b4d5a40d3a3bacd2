"""What benchmarks share: models of random weights, clocks, the machine's peak, the record."""

import datetime
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    LlamaConfig,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    __version__,
)

import promptgraft

RESULTS = Path(__file__).with_name("RESULTS.md")
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}

# Dropout is off: a frozen model has none, and with it two implementations could not be compared.
GPT2 = dict(resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0)
TINY = dict(vocab_size=300, max_position_embeddings=128)
CONFIGS: dict[str, dict[str, Callable[[], PretrainedConfig]]] = {
    "tiny": {
        "gpt2": lambda: GPT2Config(**GPT2 | TINY, n_embd=32, n_layer=2, n_head=4),
        "llama": lambda: LlamaConfig(
            **TINY,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
        ),
    },
    "124m": {
        "gpt2": lambda: GPT2Config(**GPT2),
        "llama": lambda: LlamaConfig(
            vocab_size=32000,
            hidden_size=768,
            intermediate_size=2048,
            num_hidden_layers=16,
            num_attention_heads=12,
            num_key_value_heads=4,
            tie_word_embeddings=True,
        ),
    },
    "1b": {
        "llama": lambda: LlamaConfig(
            vocab_size=128256,
            hidden_size=2048,
            intermediate_size=8192,
            num_hidden_layers=16,
            num_attention_heads=32,
            num_key_value_heads=8,
            tie_word_embeddings=True,
        ),
    },
}


def network(family: str, size: str, dtype: str, device: str) -> PreTrainedModel:
    """A causal model of random weights, the same at every call."""
    torch.manual_seed(0)
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(CONFIGS[size][family](), dtype=DTYPES[dtype])
    return model.to(device).requires_grad_(False)


def tokenizer() -> PreTrainedTokenizerFast:
    """A frozen model has one; benchmarks make their ids themselves."""
    core = Tokenizer(models.WordLevel({"a": 0, "<unk>": 1}, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=core, unk_token="<unk>", eos_token="a")


def synchronize(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def seconds(
    steps: Mapping[str, Callable[[], object]], rounds: int, device: str, clock: str
) -> dict[str, list[float]]:
    """Seconds of every step in every round, the steps taking turns, after one round to warm up.

    clock  "wall"; or "cpu", time on all processors, which other programs disturb less
    """
    read = time.perf_counter if clock == "wall" else time.process_time
    found: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(-1, rounds):
        for name in list(steps)[:: 1 if number % 2 else -1]:
            synchronize(device)
            start = read()
            steps[name]()
            synchronize(device)
            if number >= 0:
                found[name].append(read() - start)
    return found


def matmul_peak(dtype: str, device: str, clock: str) -> float:
    """FLOP/s of a large product: what the machine reaches at best in this dtype, now."""
    size = 8192 if device == "cuda" else 2048
    a = torch.randn(size, size, device=device).to(DTYPES[dtype])
    b = torch.randn(size, size, device=device).to(DTYPES[dtype])
    found = seconds({"product": lambda: torch.mm(a, b)}, 10, device, clock)
    return 2 * size**3 / min(found["product"])


def peak_memory(device: str) -> int:
    """Most bytes that this process had so far: on the device, or resident in memory."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    import resource  # not on Windows

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Median and range."""
    middle = statistics.median(values)
    return f"{middle:.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table that is also readable as it is."""
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    lines = [heads, ["-" * width for width in widths], *rows]
    return "\n".join(
        "| " + " | ".join(cell.ljust(n) for cell, n in zip(line, widths, strict=True)) + " |"
        for line in lines
    )


def machine(device: str) -> str:
    """Hardware and versions, in a line."""
    import peft

    versions = {
        "promptgraft": promptgraft.__version__,
        "torch": torch.__version__,
        "transformers": __version__,
        "peft": peft.__version__,
        "Python": platform.python_version(),
    }
    return ", ".join([_hardware(device), *(f"{name} {v}" for name, v in versions.items())])


def _hardware(device: str) -> str:
    if device == "cuda":
        return torch.cuda.get_device_name()
    info = Path("/proc/cpuinfo")
    names = [line for line in _lines(info) if line.startswith("model name")]
    name = names[0].partition(":")[2].strip() if names else platform.machine()
    able = torch.backends.cpu.get_cpu_capability()
    return f"{name} ({able}), {os.cpu_count()} cores, {torch.get_num_threads()} threads used"


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def record(title: str, body: str, results: Path | None = None) -> None:
    """Append a dated section to RESULTS.md."""
    path = results or RESULTS
    before = path.read_text() if path.exists() else "# Results, as the benchmarks wrote them\n"
    today = datetime.date.today().isoformat()
    path.write_text(f"{before.rstrip()}\n\n## {today} · {title}\n\n{body.strip()}\n")
