"""`promptgraft doctor`: what this machine can do."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from typing import Any

from promptgraft.cli import terminal
from promptgraft.cli.options import Json, LibraryPath

EPILOG = """\b
Example:
$ promptgraft doctor
promptgraft  0.1.0
Software     python 3.11.7, torch 2.13.0+cpu, transformers 5.23.0, tokenizers 0.23.3,
             safetensors 0.8.0, accelerate 1.15.0, huggingface_hub 2.4.0, peft 0.21.2,
             ray 2.60.0, gradio 6.31.0
Devices      x86_64 processor, 2 cores
Threads      2
dtype        bfloat16: bfloat16 multiplies 3.9 times as fast as float32 here
Minis        mini/bart-s, mini/bert-m, mini/bert-s, mini/gpt2-m,
             mini/gpt2-s, mini/roberta-s, mini/t5-s
Tasks        agnews, e2e, sst2
Data folder  none; set PROMPTGRAFT_DATA for more tasks
Library      ~/.promptgraft/library, 13 prompts
Hub          cannot be reached; minis, local folders and what was downloaded before work without
"""


def command(library: LibraryPath = None, as_json: Json = False) -> None:
    """Say what this machine can do."""
    with terminal.waiting("looking around"):
        found = {**_software(), **_hardware(), **_data(), **_library(library), "hub": _hub()}
    if as_json:
        terminal.print_json(found)
        return
    dtype = found["dtype"]
    terminal.print_facts(
        [
            ("promptgraft", str(found["promptgraft"])),
            ("Software", _wrapped([" ".join(pair) for pair in found["versions"].items()])),
            ("Devices", "\n".join(found["devices"])),
            ("Threads", str(found["threads"])),
            ("dtype", f"{dtype['chosen']}: {dtype['why']}"),
            ("Minis", _wrapped(found["minis"]) or "none"),
            ("Tasks", ", ".join(found["tasks"])),
            ("Data folder", found["data_folder"] or "none; set PROMPTGRAFT_DATA for more tasks"),
            ("Library", f"{found['library']}, {found['prompts']} prompts"),
            ("Hub", found["hub"]),
        ]
    )


def _wrapped(texts: Sequence[str]) -> str:
    """Four to a line."""
    return ",\n".join(", ".join(texts[n : n + 4]) for n in range(0, len(texts), 4))


def _software() -> dict[str, Any]:
    from importlib.metadata import PackageNotFoundError, version

    import promptgraft

    names = ("torch", "transformers", "tokenizers", "safetensors", "accelerate")
    extras = ("datasets", "huggingface_hub", "peft", "ray", "gradio")
    versions = {"python": platform.python_version()} | {name: version(name) for name in names}
    for name in extras:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return {"promptgraft": promptgraft.__version__, "versions": versions}


def _hardware() -> dict[str, Any]:
    import torch

    from promptgraft.models import loading

    devices = [f"{platform.machine()} processor, {os.cpu_count()} cores"]
    for number in range(torch.cuda.device_count()):
        card = torch.cuda.get_device_properties(number)
        devices.append(f"cuda:{number} {card.name}, {card.total_memory / 2**30:.0f} GiB")
    if torch.backends.mps.is_available():
        devices.append("mps, Apple")
    place = loading.best_device()
    why = f"the best that {place.type} does well"
    if place.type == "cpu":
        why = f"bfloat16 multiplies {loading.bfloat16_speed():.1f} times as fast as float32 here"
    chosen = str(loading.best_dtype(place)).removeprefix("torch.")
    return {
        "devices": devices,
        "device": str(place),
        "threads": torch.get_num_threads(),
        "dtype": {"chosen": chosen, "why": why},
    }


def _data() -> dict[str, Any]:
    from promptgraft.tasks import builtin

    return {"tasks": builtin.listed(), "data_folder": os.environ.get(builtin.VARIABLE)}


def _library(path: Any) -> dict[str, Any]:
    from promptgraft import minis
    from promptgraft.library import Library

    store = Library(path)
    return {"library": str(store.path), "prompts": len(store), "minis": minis.names()}


def _hub() -> str:
    from promptgraft.models import loading

    if loading.hub_answers():
        return "answers"
    return "cannot be reached; minis, local folders and what was downloaded before work without"
