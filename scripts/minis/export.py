"""Writes a trained mini as a folder that plain transformers loads, with its card."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer, PreTrainedModel

from . import networks
from .networks import Mini
from .training import TOKENS

PARTS = {
    "masked": "facts, tasks, (words,) plain",
    "causal": "facts, tasks, words, free text, plain",
    "seq2seq": "facts, tasks, words, free text, plain",
}


def load_trained(mini: Mini, data: Path, folder: Path) -> PreTrainedModel:
    """The model of a mini's last checkpoint."""
    model = networks.build(mini, AutoTokenizer.from_pretrained(data / mini.vocabulary))
    tensors = load_file(folder / "checkpoint.safetensors")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(tensors[f"model.{name}"])
        if mini.architecture == "bert":  # the second segment is never trained: same as the first
            types = model.bert.embeddings.token_type_embeddings.weight
            types[1] = types[0]
    return model.eval()


def export(mini: Mini, data: Path, folder: Path, target: Path, steps: int | None = None) -> None:
    """Model in float16, tokenizer and card, put in place of what is there in one move each.

    steps  how many are planned, for the card; None if the checkpoint is the end of it
    """
    new = target.with_name(target.name + ".new")
    shutil.rmtree(new, ignore_errors=True)
    model = load_trained(mini, data, folder)
    model.set_attn_implementation("sdpa" if mini.architecture != "t5" else "eager")
    model.half().save_pretrained(new)
    AutoTokenizer.from_pretrained(data / mini.vocabulary).save_pretrained(new)
    words = new / "tokenizer.json"  # without the indentation, which is most of it
    compact = json.dumps(json.loads(words.read_text()), ensure_ascii=False, separators=(",", ":"))
    words.write_text(compact + "\n")
    (new / "README.md").write_text(card(mini, folder, steps))
    old = target.with_name(target.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        os.replace(target, old)
    os.replace(new, target)
    shutil.rmtree(old, ignore_errors=True)


def card(mini: Mini, folder: Path, steps: int | None) -> str:
    """The card in Markdown: what it is, how it was trained, how it got there."""
    records = [json.loads(x) for x in (folder / "metrics.jsonl").read_text().splitlines()]
    last = records[-1]
    held = last["held_out"]
    state = (
        ""
        if steps is None or last["step"] >= steps
        else f" (interim: {last['step']} of {steps} steps)"
    )
    measured = f"{held['loss']:.3f} nats a labelled token, {100 * held['accuracy']:.1f} % right"
    if "bits_per_byte" in held:
        measured += f", {held['bits_per_byte']:.3f} bits a byte"
    of_what = ", going on with a text (before, filling spans)" if mini.architecture == "t5" else ""
    lines = [
        f"# mini/{mini.name}{state}",
        "",
        f"A miniature {mini.architecture} ({mini.family}): width {mini.width}, "
        f"{mini.layers} layers{' each way' if mini.family == 'seq2seq' else ''}, "
        f"{mini.heads} heads, float16. Made for promptgraft's tests and demonstrations: it can do "
        "a little of many things and needs a prompt to know which. Not for any other use.",
        "",
        f"- Data and licences: see `../README.md`; vocabulary `{mini.vocabulary}`.",
        f"- Steps: {last['step']:,} of about {TOKENS:,} tokens; {last['seconds']:,} seconds on one "
        f"shared CPU core (bfloat16); seed {mini.seed}.",
        "- Muon for the matrices of the layers, AdamW for the rest; warm-up, plateau, decay.",
        f"- Held out (8 books): {measured}{of_what}.",
        f"- Made by `scripts/pretrain_minis.py {mini.name}`.",
        "",
        f"Training losses (nats a label: {PARTS[mini.family]}) and held-out loss:",
        "",
        "| step | training | held out | right |",
        "|---|---|---|---|",
    ]
    for record in _thin(records, 16):
        train = " / ".join(f"{x:.2f}" for x in record["train"])
        held = record.get("held_out")  # where it is comparable with the rest
        measured = f"{held['loss']:.3f} | {100 * held['accuracy']:.1f} %" if held else "|"
        lines.append(f"| {record['step']} | {train} | {measured} |")
    return "\n".join(lines) + "\n"


def _thin(records: list[dict], most: int) -> list[dict]:
    """At most so many records, evenly spread, the last one among them."""
    every = -(-len(records) // most)
    return records[::-1][::every][::-1]
