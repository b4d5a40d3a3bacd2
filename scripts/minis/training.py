"""The training loop: deterministic, checkpointed, and exact when it is resumed."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn
from transformers import AutoTokenizer, PreTrainedModel

from . import corpus, networks
from .batches import Batch, Sampler, Symbols
from .loss import table_cross_entropy
from .networks import Mini

# Muon for hidden matrices, AdamW for all else. Layers that normalise after they add (BERT, BART)
# stay at the plateau of word frequencies with the rate that suits the others.
MATRIX_RATES = {"bert": 3.5e-3, "roberta": 3.5e-3, "bart": 3.5e-3, "gpt2": 8e-3, "t5": 8e-3}
OTHER_RATE = 3e-3
TOKENS = 4800  # of one step, about
DECAY = 0.45  # the last share of the steps, in which the rate falls to zero
PREFIX_LM = 0.3  # the last share of T5's steps splits plain text instead of taking out spans
CHECKPOINT_EVERY = MEASURE_EVERY = 250
CLIP = 1.0


@dataclass
class State:
    """What training has come to; everything that a checkpoint holds.

    weights  by name, in float32: what the optimisers change, and `model` computes with a bfloat16
             copy of
    """

    model: PreTrainedModel
    weights: dict[str, nn.Parameter]
    optimizers: list[torch.optim.Optimizer]
    step: int = 0
    seconds: float = 0.0


def rate(step: int, steps: int, warm_up: int) -> float:
    """Share of the full learning rate: warm-up, plateau, linear decay to zero."""
    return min(1.0, (step + 1) / warm_up, max(0.0, (steps - step) / (DECAY * steps)))


def start(model: PreTrainedModel, matrix_rate: float) -> State:
    """Muon for the matrices inside the layers, AdamW for embeddings, norms and biases."""
    tables = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}
    weights: dict[str, nn.Parameter] = {}
    matrices: dict[float, list[nn.Parameter]] = {}
    others: dict[float, list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        weights[name] = nn.Parameter(parameter.detach().clone())
        inside = parameter.ndim == 2 and id(parameter) not in tables
        groups = matrices if inside else others
        groups.setdefault(networks.scale(model, name), []).append(weights[name])
    optimizers = [
        torch.optim.Muon(_by_scale(matrices), lr=matrix_rate, weight_decay=0.05,
                         adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(_by_scale(others), lr=OTHER_RATE, betas=(0.9, 0.98), weight_decay=0.01),
    ]  # fmt: skip
    return State(model.bfloat16(), weights, optimizers)


def _by_scale(groups: dict[float, list[nn.Parameter]]) -> list[dict]:
    return [{"params": own, "scale": scale} for scale, own in groups.items()]


def take_step(state: State) -> None:
    """Clip the gradients, change the weights, and copy them to the model."""
    parameters = dict(state.model.named_parameters())
    for name, weight in state.weights.items():
        gradient = parameters[name].grad
        weight.grad = None if gradient is None else gradient.float()
        parameters[name].grad = None
    others = [weight for group in state.optimizers[1].param_groups for weight in group["params"]]
    nn.utils.clip_grad_norm_(others, CLIP)
    for optimizer in state.optimizers:
        optimizer.step()
    with torch.no_grad():
        for name, weight in state.weights.items():
            parameters[name].copy_(weight)


def make_sampler(mini: Mini, folder: Path) -> Sampler:
    """The batches of a mini from the cached token arrays."""
    tokenizer = AutoTokenizer.from_pretrained(folder / mini.vocabulary)
    arrays = folder / ("bpe" if mini.vocabulary == "gpt2" else mini.vocabulary)

    def known(token: int | None) -> int:
        return -1 if token is None else token

    symbols = Symbols(
        pad=tokenizer.pad_token_id,
        first=known(tokenizer.cls_token_id if mini.architecture != "t5" else None),
        last=tokenizer.sep_token_id if tokenizer.sep_token_id is not None
        else tokenizer.eos_token_id,
        mask=known(tokenizer.mask_token_id),
    )  # fmt: skip
    plain = np.load(arrays / "plain.npy", mmap_mode="r")
    if mini.architecture == "gpt2":  # the arrays end texts with </s>, GPT-2 with its own sign
        plain = np.where(plain == 2, np.uint16(symbols.last), plain)
    sentinel = tokenizer.convert_tokens_to_ids("<extra_id_0>") if mini.architecture == "t5" else -1
    return Sampler(corpus.load_rows(arrays), plain, symbols, mini.family, mini.seed,
                   sentinel)  # fmt: skip


def shift_of(batch: Batch, step: int, part: int, seed: int) -> int:
    """How far positions are moved: mostly not, often a little, sometimes anywhere."""
    rng = np.random.default_rng((seed, step, part))
    room = networks.POSITIONS - 2 - batch.input_ids.shape[1]
    chance = rng.random()
    if chance < 0.5:
        return 0
    return int(rng.integers(0, min(room, 128) if chance < 0.85 else room))


def losses_of(model: PreTrainedModel, parts: list[Batch], step: int, seed: int) -> list[float]:
    """Add the gradients of every part; returns the parts' losses (nats a label)."""
    losses = []
    for number, batch in enumerate(parts):
        states = networks.hidden_states(model, batch, shift_of(batch, step, number, seed))
        table, bias = networks.output_table(model)
        loss = table_cross_entropy(states, table, bias, batch.targets, batch.weights)
        loss.backward()
        losses.append(loss.detach().item())
    return losses


def planned(step: int, steps: int, most: int, possible: float) -> int:
    """How many steps the schedule shall have, if only so many more are possible.

    Changed on the plateau only, and only so that the decay is yet to begin: then training is
    bit for bit what it would have been, had this number been the plan from the start.
    """
    if step >= (1 - DECAY) * steps or math.isinf(possible):
        return steps
    return min(most, max(step + int(possible), math.ceil(step / (1 - DECAY)) + 1))


def save_checkpoint(state: State, path: Path, steps: int) -> None:
    """Model and optimisers in one file, atomically."""
    tensors = {f"model.{name}": weight.detach() for name, weight in state.weights.items()}
    for number, optimizer in enumerate(state.optimizers):
        for index, entries in optimizer.state_dict()["state"].items():
            for key, value in entries.items():
                tensors[f"optimizer.{number}.{index}.{key}"] = value
    meta = {"step": str(state.step), "seconds": str(state.seconds), "steps": str(steps)}
    new = path.with_suffix(".new")
    save_file({k: v.contiguous() for k, v in tensors.items()}, new, meta)
    os.replace(new, path)


def load_checkpoint(state: State, path: Path) -> int | None:
    """Put back what `save_checkpoint` wrote; returns the planned steps."""
    with safe_open(path, "pt") as file:
        meta = file.metadata()
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    with torch.no_grad():
        for name, parameter in state.model.named_parameters():
            state.weights[name].copy_(tensors[f"model.{name}"])
            parameter.copy_(state.weights[name])
    for number, optimizer in enumerate(state.optimizers):
        entries: dict[int, dict] = {}
        for key, value in tensors.items():
            head, _, rest = key.partition(f"optimizer.{number}.")
            if rest and not head:
                index, _, name = rest.partition(".")
                entries.setdefault(int(index), {})[name] = value
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": entries, "param_groups": groups})
    state.step, state.seconds = int(meta["step"]), float(meta["seconds"])
    return int(meta["steps"]) if "steps" in meta else None


def held_out(
    model: PreTrainedModel, sampler: Sampler, arrays: Path, spans: bool = True
) -> dict[str, float]:
    """Loss on books that were not trained on: nats a label, the share right, bits a byte.

    spans  of T5: fill spans, or go on with a text, as it was last trained to
    """
    stream = np.load(arrays / "held_out.npy").astype(np.uint16)
    if model.config.model_type == "gpt2":
        stream = np.where(stream == 2, np.uint16(sampler.symbols.last), stream)
    rng = np.random.default_rng(0)
    total, right = 0.0, 0.0
    model.eval()
    rounds = 8 if sampler.family == "masked" else 2  # the others have a label at every place
    for _ in range(rounds):
        batch = sampler.plain_batch(stream, 3000, rng, spans)
        table, bias = networks.output_table(model)
        with torch.no_grad():
            states = networks.hidden_states(model, batch, 0)
            logits = (states @ table.t()).float() + (0.0 if bias is None else bias)
            chance = logits.log_softmax(-1).gather(-1, batch.targets[..., None])[..., 0]
            total -= float((chance * batch.weights).sum()) / rounds
            right += float(((logits.argmax(-1) == batch.targets) * batch.weights).sum()) / rounds
    model.train()
    found = {"loss": total, "accuracy": right}
    if sampler.family == "causal":
        size = json.loads((arrays / "held_out.json").read_text())["bytes"]
        found["bits_per_byte"] = total / math.log(2) * len(stream) / size
    return found


def train(
    mini: Mini,
    data: Path,
    folder: Path,
    steps: int | None,
    on_checkpoint: Callable[[int], None],
    until: float = math.inf,
) -> int:
    """Train a mini to the end, from its last checkpoint if there is one.

    data           folder of `corpus.build`
    folder         checkpoint.safetensors, metrics.jsonl
    steps          None: as many as the checkpoint was planned for, or the mini's own number
    on_checkpoint  called with the planned steps after each checkpoint
    until          time.time() by which to be done: at checkpoints on the plateau, the plan is cut
                   to what can be done (see `planned`)
    returns        the steps it came to
    """
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # only costs time here
    sampler, matrix_rate = make_sampler(mini, data), MATRIX_RATES[mini.architecture]
    model = networks.build(mini, AutoTokenizer.from_pretrained(data / mini.vocabulary))
    state = start(model, matrix_rate)
    path, log = folder / "checkpoint.safetensors", folder / "metrics.jsonl"
    most = steps or mini.steps
    if path.exists():
        stored = load_checkpoint(state, path)
        steps = steps or stored
        if log.exists():  # what came after the checkpoint is done again
            lines = log.read_text().splitlines()
            kept = [x for x in lines if x.endswith("}") and json.loads(x)["step"] <= state.step]
            log.write_text("".join(x + "\n" for x in kept))
    arrays = data / ("bpe" if mini.vocabulary == "gpt2" else mini.vocabulary)
    steps = steps or mini.steps
    running: list[list[float]] = []
    clock = began = time.time()
    first = state.step
    while state.step < steps:
        spans = mini.architecture != "t5" or state.step < (1 - PREFIX_LM) * steps
        for optimizer, full in zip(state.optimizers, (matrix_rate, OTHER_RATE), strict=True):
            for group in optimizer.param_groups:
                group["lr"] = full * rate(state.step, steps, mini.warm_up) * group["scale"]
        running.append(
            losses_of(
                model,
                sampler.step(state.step, TOKENS, spans),
                state.step,
                mini.seed,
            )
        )
        take_step(state)
        state.step += 1
        now = time.time()
        state.seconds, clock = state.seconds + now - clock, now
        if state.step % MEASURE_EVERY == 0 or state.step == steps:
            losses = [round(float(x), 4) for x in np.mean(running, axis=0)]
            running = []
            record = {"step": state.step, "seconds": round(state.seconds), "train": losses,
                      "held_out": held_out(model, sampler, arrays, spans)}  # fmt: skip
            with log.open("a") as lines:
                lines.write(json.dumps(record) + "\n")
            print(mini.name, json.dumps(record), flush=True)
        if state.step % CHECKPOINT_EVERY == 0 or state.step == steps:
            pace = (now - began) / (state.step - first)
            steps = planned(state.step, steps, most, (until - now) / pace)
            save_checkpoint(state, path, steps)
            on_checkpoint(steps)
    return steps
