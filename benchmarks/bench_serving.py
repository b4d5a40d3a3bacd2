"""Many requests, each with its own prompt: one running batch beside peft switching adapters.

    python benchmarks/bench_serving.py [--size 124m] [--device cpu] [--requests 64] [--record]
    python benchmarks/bench_serving.py --distinct 1 10 100 1000 --requests 1000 [--record]

Both write the same number of tokens for the same texts with the same prompts on the same random
model. The engine is measured with a prompt for each request and with one prompt for all; in the
second form with so many distinct prompts among the requests, from the library's folder each time.
"""

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import common
import torch
from peft import PromptTuningConfig, TaskType, get_peft_model
from transformers.utils import logging

from promptgraft.library import Library
from promptgraft.models import FrozenModel
from promptgraft.prompts import PromptCard, SoftPrompt
from promptgraft.serving import Engine, Request

VIRTUAL, TEXT, NEW = 20, 32, 32
TARGETS = {"peft": 10.0, "one prompt": 0.8}


def frozen(size: str, dtype: str, device: str) -> FrozenModel:
    """A causal model of random weights; its texts are runs of the word "a"."""
    family = "gpt2" if "gpt2" in common.CONFIGS[size] else "llama"
    model = common.network(family, size, dtype, device)
    model.generation_config.eos_token_id = None
    return FrozenModel(model, common.tokenizer(), "random")


def fill(library: Library, model: FrozenModel, count: int) -> list[str]:
    """So many soft prompts of the model."""
    torch.manual_seed(1)
    scale = float(model.embed(torch.arange(100)).std())
    made = []
    for number in range(count):
        card = PromptCard(
            kind="soft-prompt",
            length=VIRTUAL,
            base=model.reference,
            task=f"task{number}",
            template="{prompt} {source}",
        )
        vectors = scale * torch.randn(VIRTUAL, model.embedding_size)
        made.append((SoftPrompt(vectors, card), f"task{number}@random"))
    return library.add_all(made)


def ours(model: FrozenModel, library: Library, names: list[str], rows: int) -> Callable[[], int]:
    """Write for every name; returns the tokens written."""
    engine = Engine(model, library, rows=rows, read_at_once=10**6)
    engine.model.encoder.eos = None  # random models end texts anywhere

    def run() -> int:
        text = " ".join(["a"] * TEXT)
        tickets = [
            engine.submit(Request(source=text, prompt=name, max_new_tokens=NEW)) for name in names
        ]
        engine.run_until_done()
        return sum(ticket.written for ticket in tickets)

    return run


def peft_switching(model: FrozenModel, names: list[str], library: Library) -> Callable[[], int]:
    """One request after the other, each with its adapter set."""
    config = PromptTuningConfig(task_type=TaskType.CAUSAL_LM, num_virtual_tokens=VIRTUAL)
    network = model.model
    wrapped = None
    for name in names:
        if wrapped is None:
            wrapped = get_peft_model(network, config, adapter_name=name.split("@")[0])
        else:
            wrapped.add_adapter(name.split("@")[0], config)
        with torch.no_grad():
            encoder = wrapped.prompt_encoder[name.split("@")[0]].embedding.weight
            encoder.copy_(library.get(name).vectors)
    ids = torch.zeros(1, TEXT, dtype=torch.long, device=model.device)
    mask = torch.ones_like(ids)

    def run() -> int:
        written = 0
        for name in names:
            wrapped.set_adapter(name.split("@")[0])
            out = wrapped.generate(input_ids=ids, attention_mask=mask, max_new_tokens=NEW,
                                   min_new_tokens=NEW, do_sample=False, pad_token_id=0)  # fmt: skip
            written += out.shape[1] - (TEXT if out.shape[1] > NEW else 0)
        return written

    return run


def seconds(runs: dict[str, Callable[[], int]], rounds: int) -> dict[str, list[float]]:
    """Tokens a second of each, the runs taking turns, after one round to warm up."""
    found: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(-1, rounds):
        for name, run in runs.items():
            start = time.perf_counter()
            tokens = run()
            if number >= 0:
                found[name].append(tokens / (time.perf_counter() - start))
    return found


def first_token(model: FrozenModel, library: Library, names: list[str]) -> tuple[float, float]:
    """Milliseconds to the first token, medians: with a prompt from disk, and once it is loaded."""
    engine = Engine(model, library)

    def milliseconds(name: str | None) -> float:
        start = time.perf_counter()
        ticket = engine.submit(Request(source="a", prompt=name, max_new_tokens=1))
        engine.run_until_done()
        ticket.text()
        return 1000 * (time.perf_counter() - start)

    for _ in range(3):
        milliseconds(None)  # the model's own first passes are nobody's
    cold = [milliseconds(name) for name in names[:20]]
    warm = [milliseconds(name) for name in names[:20]]
    return statistics.median(cold), statistics.median(warm)


def memory(model: FrozenModel, library: Library, name: str) -> tuple[int, int]:
    """Bytes of a prompt in use: as it is kept on disk, and with the keys and values made of it."""
    kept = Engine(model, library).prompts
    loaded = kept.get(name)
    stored = loaded.bytes
    (row,) = model.encode(["a"], loaded.runs)
    kept.ready(loaded, row)
    return stored, loaded.bytes


def by_distinct(
    model: FrozenModel, library: Library, names: list[str], counts: list[int], options: Any
) -> str:
    """Tokens a second with so many distinct prompts among the requests, which lie on the disk when
    the round begins."""

    def fresh(count: int) -> Callable[[], int]:
        asked = [names[number % count] for number in range(options.requests)]
        return lambda: ours(model, library, asked, options.rows)()

    found = seconds({str(count): fresh(count) for count in counts}, options.rounds)
    first = found[str(counts[0])]
    rows = [
        [
            name,
            common.spread(rates, 0),
            common.spread([a / b for a, b in zip(rates, first, strict=True)]),
        ]
        for name, rates in found.items()
    ]
    heads = ["distinct prompts", "tokens/s", f"against {counts[0]}"]
    return common.table(heads, rows)


LEGEND = f"""\
P = {VIRTUAL} virtual tokens, T = {TEXT} of text, {NEW} new ones. Tokens written a second, median
(range) over rounds in which the runs take turns."""


def main(arguments: list[str] | None = None) -> None:
    """Measure, print, and if asked record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=common.CONFIGS, default="124m")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", choices=common.DTYPES, default="float32")
    parser.add_argument("--requests", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=64, help="written on together (--distinct)")
    parser.add_argument("--distinct", type=int, nargs="+", metavar="N")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--note", default="")
    parser.add_argument("--record", action="store_true", help="append to RESULTS.md")
    options = parser.parse_args(arguments)
    logging.set_verbosity_error()
    if options.threads:
        torch.set_num_threads(options.threads)
    about = f"{common.machine(options.device)}. {options.requests} requests, {options.dtype}."
    print(f"{about}\n\n{LEGEND}\n", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        library = Library(Path(folder))
        model = frozen(options.size, options.dtype, options.device)
        if options.distinct:
            names = fill(library, model, max(options.distinct))
            table = by_distinct(model, library, names, options.distinct, options)
            print(table)
            if options.record:
                body = f"{options.note}\n\n{about}\n\n{LEGEND}\n\n{table}".strip()
                common.record(f"distinct prompts, {options.size}, {options.device}", body)
            return
        names = fill(library, model, options.requests)
        random.Random(0).shuffle(names)
        cold, warm = first_token(model, library, names)
        engines = {
            "ours": ours(model, library, names, options.requests),
            "one prompt": ours(model, library, names[:1] * len(names), options.requests),
        }
        rest = frozen(options.size, options.dtype, options.device)
        runs = {**engines, "peft": peft_switching(rest, names, library)}
        found = seconds(runs, options.rounds)
        stored, used = memory(model, library, names[0])
    rows = []
    for name in ("peft", "one prompt"):
        ratios = [a / b for a, b in zip(found["ours"], found[name], strict=True)]
        met = "met" if statistics.median(ratios) >= TARGETS[name] else "missed"
        goal = f">={TARGETS[name]:g} {met}" if options.size != "tiny" else "-"
        rows.append([name, common.spread(found[name], 0), common.spread(found["ours"], 0),
                     common.spread(ratios), goal])  # fmt: skip
    table = common.table(["against", "its tokens/s", "ours tokens/s", "ours/its", "target"], rows)
    more = (
        f"First token: {cold:.1f} ms with a prompt from disk, {warm:.1f} ms once it is loaded. "
        f"A prompt is {stored / 2**10:.0f} KiB and in use, with its keys and values, "
        f"{used / 2**10:.0f} KiB: {2**30 // used} prompts a GiB."
    )
    print(f"{table}\n\n{more}")
    if options.record:
        note = f"{options.note}\n\n" if options.note else ""
        body = f"{note}{about}\n\n{LEGEND}\n\n{table}\n\n{more}"
        common.record(f"serving, {options.size}, {options.device}", body)


if __name__ == "__main__":
    main()
