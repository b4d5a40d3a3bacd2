"""What a training step takes, before it is run: floating-point operations and memory.

Operations are those of matrix products; a product of [m, k] and [k, n] has 2 m k n.

    a linear layer of n weights   2 n a token forward, and 2 n backward for the gradient of its
                                  input: frozen weights have none of their own
    attention, a layer            4 H d_head for a query and a key forward, twice that backward
    the output layer              as a linear layer, at the labels alone

The tokens of a shared prompt pass count once. An encoder that no prompt enters has no backward
pass. Counted too much: the first layer's text needs no gradient behind a prefix, and the last layer
of a shared pass gives nothing but keys and values.

Memory is an estimate: the weights; what the layers keep of each token for the backward pass, which
is 1.2 times the outputs of their linear layers, and more of the wide ones that a gate follows; the
logits in float32 with their gradient; and a directly tuned prompt with its gradient and Adam's two
moments.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from promptgraft.models.attention import CROSS
from promptgraft.models.batch import IGNORED, Batch
from promptgraft.models.geometry import Geometry


@dataclass(frozen=True)
class Cost:
    """One training step.

    flops        operations, forward and backward
    weights      bytes of the frozen weights
    activations  bytes kept for the backward pass, the logits among them
    prompt       bytes of a directly tuned prompt, its gradient and its optimizer's state
    """

    flops: int
    weights: int
    activations: int
    prompt: int

    @property
    def bytes(self) -> int:
        """Most memory at a time."""
        return self.weights + self.activations + self.prompt


@dataclass(frozen=True)
class Stream:
    """Sequences that a stack of layers runs: `rows` of `tokens` each, behind `seen` prefix tokens.

    trained  a gradient goes through them
    """

    rows: int
    tokens: int
    seen: int = 0
    trained: bool = True


@dataclass(frozen=True)
class Linear:
    """A linear layer of the encoder or the decoder (models of one stack have a decoder).

    reads  the side whose tokens it reads: cross-attention's keys and values read the encoder's
    times  how often a pass runs it: more than once where layers share it
    """

    reads: str
    inputs: int
    outputs: int
    attends: bool
    times: int


def step_cost(
    model: PreTrainedModel,
    geometry: Geometry,
    batch: Batch,
    seen: Mapping[str, int],
    lines: int,
    numbers: int,
    again: bool = False,
) -> Cost:
    """The cost of one training step.

    seen     length of the prefix, by attention site
    lines    soft prompts that take a pass of their own, if the batch has heads
    numbers  in the tensors of the prompt
    again    layers are checkpointed: run twice, and they keep their inputs alone
    """
    streams = _streams(batch, seen, lines)
    labels = int((batch.labels != IGNORED).sum())
    output: nn.Module = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    vocabulary, width = output.weight.shape  # type: ignore[misc]
    flops, kept = 4 * labels * vocabulary * width, 0.0
    steps = _steps(model)
    for linear in _linears(model, output, geometry):
        factor = 1.2 + (steps if linear.outputs > linear.inputs and not linear.attends else 0)
        for stream in streams[linear.reads]:
            tokens = stream.rows * stream.tokens * linear.times
            passes = 1 + stream.trained * (1 + again)
            flops += 2 * passes * linear.inputs * linear.outputs * tokens
            kept += factor * linear.outputs * tokens if stream.trained else 0
    for site, (layers, _, size) in geometry.sites.items():
        for stream in streams["encoder" if site == "encoder" else "decoder"]:
            behind = seen.get("cross", 0) if site == "cross" else stream.seen
            keys = behind + (streams["encoder"][0].tokens if site == "cross" else stream.tokens)
            pairs = stream.rows * stream.tokens * keys
            passes = 1 + stream.trained * (2 + again)
            flops += 4 * passes * layers * geometry.heads * size * pairs
            kept += 2 * layers * geometry.heads * size * stream.rows * behind
    if again:
        kept = _inputs(streams, geometry, width) + kept / sum(_depths(geometry).values())
    weights = sum(weight.numel() * weight.element_size() for weight in model.parameters())
    activations = int(kept * model.dtype.itemsize) + 3 * 4 * labels * vocabulary
    return Cost(flops, weights, activations, 4 * 4 * numbers)


def _depths(geometry: Geometry) -> dict[str, int]:
    """Layers of the stacks, by the side of their streams."""
    encoder = geometry.sites.get("encoder", (0, 0, 0))[0]
    return {"encoder": encoder, "decoder": next(reversed(geometry.sites.values()))[0]}


def _inputs(streams: Mapping[str, Sequence[Stream]], geometry: Geometry, width: int) -> int:
    """Numbers that come into all layers."""
    return sum(
        depth * width * stream.rows * stream.tokens
        for side, depth in _depths(geometry).items()
        for stream in streams[side]
        if stream.trained
    )


def _streams(batch: Batch, seen: Mapping[str, int], lines: int) -> dict[str, list[Stream]]:
    """What the stacks run, by side."""
    rows, tokens = batch.tokens.shape
    if batch.decoder_tokens is not None:
        trained = bool((batch.tokens < 0).any()) or "encoder" in seen
        written = batch.decoder_tokens.shape[1]
        return {
            "encoder": [Stream(rows, tokens, seen.get("encoder", 0), trained)],
            "decoder": [Stream(rows, written, seen.get("decoder", 0))],
        }
    head = max(map(len, batch.heads), default=0)
    streams = [Stream(rows, tokens, max(head, seen.get("self", 0)))]
    return {"encoder": [], "decoder": streams + ([Stream(lines, head)] if head else [])}


def _linears(model: PreTrainedModel, output: nn.Module, geometry: Geometry) -> Iterator[Linear]:
    """The linear layers of a model but the output layer."""
    found = []
    for name, module in model.named_modules():
        if not isinstance(module, nn.Linear | Conv1D) or module is output:
            continue
        sizes = (module.weight.shape[1], module.weight.shape[0])
        inputs, outputs = sizes if isinstance(module, nn.Linear) else sizes[::-1]
        encodes = geometry.family == "seq2seq" and "decoder." not in name
        across = any(mark in name for mark in CROSS) and name.split(".")[-1][0] in "kv"
        number = re.search(r"\.(\d+)\.", name)
        layer = int(number.group(1)) if number else None
        reads = "encoder" if encodes or across else "decoder"
        found.append((reads, encodes, layer, inputs, outputs, "att" in name.lower()))
    for reads, encodes, layer, inputs, outputs, attends in found:
        depth = geometry.sites["encoder" if encodes else next(reversed(geometry.sites))][0]
        distinct = len({other[2] for other in found if other[1] == encodes} - {None})
        times = 1 if layer is None else depth // distinct
        yield Linear(reads, inputs, outputs, attends, times)


def _steps(model: PreTrainedModel) -> float:
    """How much more of a wide layer's output is kept by what comes after it."""
    gated = any(name.endswith(("gate_proj", "wi_1")) for name, _ in model.named_modules())
    return 0.5 if gated else 0.0  # the product with the gate, for two wide layers
