"""Prefix-tuning beside peft's in the same process: steps, memory, decoding; and a low-data run.

    python benchmarks/bench_prefix.py [--size 124m] [--device cpu] [--record]

bench_tuning.py has a step on causal models; here are an encoder-decoder's, what gradient
checkpointing saves, beam search over many rows, and a whole run on mini/gpt2-m.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import common
import torch
from peft import PrefixTuningConfig, TaskType, get_peft_model
from torch import Tensor, nn
from transformers import BartConfig, BartForConditionalGeneration, PreTrainedModel
from transformers.utils import logging

from promptgraft import api
from promptgraft.library import Library
from promptgraft.models import Batch, FrozenModel
from promptgraft.models.generation import generate

P, TEXT, WRITTEN, ROWS = 20, 60, 20, 16
BEAMS, DECODED, NEW_TOKENS = 5, 64, 20
EPOCHS, FEW, BATCH = 10, 100, 8
SIZES = {
    "tiny": dict(d_model=32, encoder_layers=2, decoder_layers=2, vocab_size=300, heads=4, ffn=64),
    "124m": dict(
        d_model=768, encoder_layers=6, decoder_layers=6, vocab_size=50265, heads=12, ffn=3072
    ),
}
LEGEND = """\
Seconds and ratios: median (range) over rounds in which the two take turns. MB: peak of a process
that does only this. A prefix of peft reaches the decoder's attention alone; `all three sites` is
the paper's, which peft has not."""

Step = Callable[[], object]


def bart(size: str, device: str) -> PreTrainedModel:
    """A BART of random weights, without dropout."""
    own = dict(SIZES[size])
    heads, wide = own.pop("heads"), own.pop("ffn")
    torch.manual_seed(0)
    config = BartConfig(
        **own, dropout=0.0, attention_dropout=0.0, activation_dropout=0.0, pad_token_id=1,
        encoder_attention_heads=heads, decoder_attention_heads=heads,
        encoder_ffn_dim=wide, decoder_ffn_dim=wide, max_position_embeddings=1024,
        forced_eos_token_id=None,
    )  # fmt: skip
    return BartForConditionalGeneration(config).to(device).requires_grad_(False).eval()


def ids(model: PreTrainedModel, rows: int, length: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    found = torch.randint(5, model.config.vocab_size, (rows, length), generator=generator)
    return found.to(model.device)


def network(family: str, size: str, device: str) -> PreTrainedModel:
    if family == "bart":
        return bart(size, device)
    return common.network("gpt2", size, "float32", device).eval()


def our_step(family: str, size: str, device: str, how: str) -> Step:
    """A forward and backward pass; `how` is "decoder", "all three sites" or "checkpointing"."""
    model = FrozenModel(network(family, size, device), common.tokenizer())
    model.checkpointing = how == "checkpointing"
    sites = {
        site: nn.Parameter(0.1 * torch.randn(layers, 2, P, heads, width, device=device))
        for site, (layers, heads, width) in model.geometry.sites.items()
        if how != "decoder" or site in ("decoder", "self")
    }
    if family == "bart":
        source, target = ids(model.model, ROWS, TEXT), ids(model.model, ROWS, WRITTEN)
        masks = [torch.ones_like(tokens, dtype=torch.bool) for tokens in (source, target)]
        batch = Batch(source, masks[0], target, target, masks[1])
    else:
        tokens = ids(model.model, ROWS, TEXT)
        batch = Batch(tokens[:, :-1], torch.ones_like(tokens[:, 1:]).bool(), tokens[:, 1:])

    def step() -> None:
        model.loss(batch, sites).backward()

    return step


def peft_step(family: str, size: str, device: str) -> Step:
    kind = TaskType.SEQ_2_SEQ_LM if family == "bart" else TaskType.CAUSAL_LM
    config = PrefixTuningConfig(task_type=kind, num_virtual_tokens=P)
    model = get_peft_model(network(family, size, device), config).to(device)
    source = ids(model, ROWS, TEXT)
    labels = ids(model, ROWS, WRITTEN) if family == "bart" else source
    inputs = {"input_ids": source, "attention_mask": torch.ones_like(source), "labels": labels}

    def step() -> None:
        model(**inputs).loss.backward()

    return step


def contenders(size: str, device: str) -> dict[str, tuple[str, Callable[[], Step]]]:
    """What takes a step: its model, and how it is made."""
    return {
        "peft, gpt2": ("gpt2", lambda: peft_step("gpt2", size, device)),
        "ours, gpt2": ("gpt2", lambda: our_step("gpt2", size, device, "decoder")),
        "ours, gpt2, checkpointing": (
            "gpt2",
            lambda: our_step("gpt2", size, device, "checkpointing"),
        ),
        "peft, bart": ("bart", lambda: peft_step("bart", size, device)),
        "ours, bart": ("bart", lambda: our_step("bart", size, device, "decoder")),
        "ours, bart, all three sites": (
            "bart",
            lambda: our_step("bart", size, device, "all three sites"),
        ),
        "ours, bart, checkpointing": (
            "bart",
            lambda: our_step("bart", size, device, "checkpointing"),
        ),
    }


def memory(name: str, size: str, device: str) -> str:
    """Peak MB of a process that takes one step."""
    spec = json.dumps([name, size, device])
    done = subprocess.run(
        [sys.executable, __file__, "--memory-of", spec], capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr}")
    return f"{int(done.stdout.split()[-1]) / 1e6:.0f}"


def steps(size: str, device: str, rounds: int, with_memory: bool) -> str:
    """The table of steps."""
    made = contenders(size, device)
    used = {name: memory(name, size, device) if with_memory else "-" for name in made}
    lines = []
    for family in ("gpt2", "bart"):
        run = {name: make() for name, (own, make) in made.items() if own == family}
        found = common.seconds(run, rounds, device, "wall")
        theirs = found[f"peft, {family}"]
        for name, values in found.items():
            ratio = common.spread([a / b for a, b in zip(theirs, values, strict=True)])
            lines.append([name, common.spread(values), ratio, used[name]])
    return common.table(["a step of", "s", "peft/this", "peak MB"], lines)


def decoding(size: str, device: str, rounds: int) -> str:
    """Beam search over rows with one prefix, as we do it and as others do; equal texts."""
    lines = [
        beams("gpt2, peft", *beside_peft(size, device), rounds, device),
        beams("bart, transformers", *beside_transformers(size, device), rounds, device),
    ]
    return (
        f"Beam search ({BEAMS} beams, {DECODED} rows of {TEXT} tokens, {NEW_TOKENS} new ones), "
        "equal texts. BART's prefix is at all three sites; transformers repeats what the encoder "
        "read for every beam.\n\n"
        + common.table(["model, peer", "peer s", "ours s", "peer/ours"], lines)
    )


Decoding = Callable[[], Tensor]
SETTINGS: dict[str, Any] = dict(
    num_beams=BEAMS, max_new_tokens=NEW_TOKENS, min_new_tokens=NEW_TOKENS, do_sample=False,
    pad_token_id=0, eos_token_id=None,
)  # fmt: skip


def beams(name: str, peer: Decoding, ours: Decoding, rounds: int, device: str) -> list[str]:
    """A line of the table."""
    written: dict[str, Tensor] = {}

    def kept(who: str, write: Decoding) -> Step:
        @torch.no_grad()
        def step() -> None:
            written[who] = write()

        return step

    both = {"peer": kept("peer", peer), "ours": kept("ours", ours)}
    found = common.seconds(both, rounds, device, "wall")
    if not torch.equal(written["ours"], written["peer"]):
        raise SystemExit(f"Beam search gave different texts ({name}).")
    ratio = common.spread([a / b for a, b in zip(found["peer"], found["ours"], strict=True)])
    return [name, common.spread(found["peer"]), common.spread(found["ours"]), ratio]


def beside_peft(size: str, device: str) -> tuple[Decoding, Decoding]:
    """GPT-2 with the same prefix."""
    config = PrefixTuningConfig(task_type=TaskType.CAUSAL_LM, num_virtual_tokens=P)
    peft_model = get_peft_model(network("gpt2", size, device), config).to(device)
    weight = peft_model.prompt_encoder["default"].embedding.weight.detach()
    model = FrozenModel(network("gpt2", size, device), common.tokenizer())
    values = prefix_of(model)["self"]
    weight.copy_(values.permute(2, 0, 1, 3, 4).reshape(P, -1))
    tokens = ids(model.model, DECODED, TEXT)
    mask = torch.ones_like(tokens)
    batch = Batch(tokens, mask.bool(), torch.full_like(tokens, -100))

    def peft() -> Tensor:
        return peft_model.generate(input_ids=tokens, attention_mask=mask, **SETTINGS)

    def ours() -> Tensor:
        with model.attached(batch, {"self": values}) as inputs:
            return generate(model.model, inputs, 0, SETTINGS)

    return peft, ours


def beside_transformers(size: str, device: str) -> tuple[Decoding, Decoding]:
    """BART with a prefix at all three sites."""
    model = FrozenModel(network("bart", size, device), common.tokenizer())
    values = prefix_of(model)
    tokens = ids(model.model, DECODED, TEXT)
    start = torch.full((DECODED, 1), 2, device=device)
    mask = torch.ones_like(tokens, dtype=torch.bool)
    batch = Batch(tokens, mask, torch.full_like(start, -100), start, torch.ones_like(start).bool())

    def transformers() -> Tensor:
        with model.attached(batch, values) as inputs:
            return model.model.generate(**inputs, **SETTINGS)

    def ours() -> Tensor:
        with model.attached(batch, values) as inputs:
            return generate(model.model, inputs, 0, SETTINGS)

    return transformers, ours


def prefix_of(model: FrozenModel) -> dict[str, Tensor]:
    """Random keys and values at every site."""
    generator = torch.Generator().manual_seed(2)
    return {
        site: 0.5 * torch.randn(layers, 2, P, heads, width, generator=generator).to(model.device)
        for site, (layers, heads, width) in model.geometry.sites.items()
    }


def low_data(model: str, steps: int) -> str:
    """The low-data run on e2e: so many rows, ten times each."""
    start = time.perf_counter()
    with TemporaryDirectory() as folder:
        run = api.tune(
            model=model, task="e2e", method="prefix", length=10, few_shot=FEW, steps=steps,
            batch_size=BATCH, test_rows=60, out=Path(folder) / "run",
            library=Library(Path(folder) / "library"),
        )  # fmt: skip
        bleu = run.evaluation.scores["bleu"] if run.evaluation is not None else float("nan")
    took = time.perf_counter() - start
    met = "met" if took < 120 else "missed"
    return (
        f"e2e on {model}, {FEW} rows, {steps} steps of {BATCH}: {took:.0f} s in all, 60 tables "
        f"written among it (BLEU {bleu:.1f}); under 120 s {met}."
    )


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=SIZES, default="124m")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--no-memory", action="store_true")
    parser.add_argument("--low-data", default="mini/gpt2-m", help="the model of the low-data run")
    parser.add_argument("--low-data-steps", type=int, default=EPOCHS * FEW // BATCH)
    parser.add_argument("--record", action="store_true", help="append to RESULTS.md")
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    logging.set_verbosity_error()
    if options.threads:
        torch.set_num_threads(options.threads)
    if options.memory_of:
        name, size, device = json.loads(options.memory_of)
        contenders(size, device)[name][1]()()
        print(common.peak_memory(device))
        return
    parts = [
        f"{P} virtual tokens, {ROWS} rows of {TEXT} tokens (bart: {WRITTEN} written), float32.",
        f"{common.machine(options.device)}.",
        LEGEND,
        steps(options.size, options.device, options.rounds, not options.no_memory),
        decoding(options.size, options.device, options.rounds),
        low_data(options.low_data, options.low_data_steps),
    ]
    body = "\n\n".join(parts)
    print(body)
    if options.record:
        common.record(f"prefix-tuning, {options.size}, {options.device}", body)


if __name__ == "__main__":
    main()
