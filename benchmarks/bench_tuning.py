"""A training step of prompt and prefix tuning, beside peft's in the same process.

    python benchmarks/bench_tuning.py [--size 124m] [--device cpu] [--quick] [--record]

Both train the same prompt on the same rows for the same loss, with the same random model. Before
any timing, loss and gradient are compared. Steps take turns; ratios are taken within a round.
"""

import argparse
import json
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import asdict, dataclass, replace
from typing import Any

import common
import torch
from peft import PrefixTuningConfig, PromptTuningConfig, TaskType, get_peft_model
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode
from transformers.utils import logging

from promptgraft.models import IGNORED, Batch, FrozenModel

EXACT = 1e-5  # relative difference of loss and gradient, float32
TARGETS = {("prompt", 100, 40, 16): 5.0, ("prompt", 20, 60, 8): 1.5}
PREFIX_TARGET = 1.0


@dataclass(frozen=True)
class Case:
    """What is measured: P virtual tokens, B rows of T tokens, of which the last `labels` count."""

    family: str
    method: str
    virtual: int
    text: int
    rows: int
    labels: int
    size: str
    device: str

    @property
    def title(self) -> list[str]:
        shape = f"{self.virtual}/{self.text}/{self.rows}"
        return [self.family, self.method, shape, str(self.labels)]

    @property
    def target(self) -> float | None:
        if self.size == "tiny":
            return None
        if self.method == "prefix":
            return PREFIX_TARGET
        return TARGETS.get((self.method, self.virtual, self.text, self.rows))

    def ids(self) -> Tensor:
        """[B, T]"""
        vocabulary = common.CONFIGS[self.size][self.family]().vocab_size
        generator = torch.Generator().manual_seed(1)
        ids = torch.randint(vocabulary, (self.rows, self.text), generator=generator)
        return ids.to(self.device)


SHAPES = {
    "tiny": [(8, 12, 4)],
    "124m": [(100, 40, 16), (20, 60, 8)],
    "1b": [(100, 40, 16), (20, 60, 8), (100, 256, 32)],
}
ANSWER = 10  # labelled tokens of a row where only an answer counts


def cases(size: str, device: str) -> list[Case]:
    """All tokens that a text model can be asked for (T - 1 of T), or those of an answer alone."""
    return [
        Case(family, method, *shape, labels, size, device)
        for family in common.CONFIGS[size]
        for method in ("prompt", "prefix")
        for shape in SHAPES[size]
        for labels in ((shape[1] - 1, ANSWER) if method == "prompt" else (shape[1] - 1,))
    ]


@dataclass
class Contender:
    """One implementation of a case: its parameter, its loss, and a whole training step."""

    parameter: nn.Parameter
    loss: Callable[[], Tensor]
    layout: Callable[[Tensor], Tensor] = lambda tensor: tensor  # a prompt as ours is laid out

    def __post_init__(self) -> None:
        self.optimizer = torch.optim.AdamW([self.parameter], lr=1e-6)

    def step(self) -> None:
        self.loss().backward()
        self.optimizer.step()
        self.optimizer.zero_grad()


def start(case: Case, model: FrozenModel | nn.Module) -> Tensor:
    """The prompt that both begin with: [P, D] or [L, 2, P, H_kv, d_head]."""
    config = model.config
    generator = torch.Generator().manual_seed(2)
    if case.method == "prompt":
        return 0.02 * torch.randn(case.virtual, config.hidden_size, generator=generator)
    heads = getattr(config, "num_key_value_heads", config.num_attention_heads)
    size = config.hidden_size // config.num_attention_heads
    shape = (config.num_hidden_layers, 2, case.virtual, heads, size)
    return 0.5 * torch.randn(shape, generator=generator)


def ours(case: Case, dtype: str) -> Contender:
    """promptgraft, fed what its own encoder makes of such rows."""
    network = common.network(case.family, case.size, dtype, case.device)
    parameter = nn.Parameter(start(case, network).to(case.device))
    model = FrozenModel(network, common.tokenizer())
    ids = case.ids()
    tokens, labels = ids[:, :-1], ids[:, 1:].clone()
    labels[:, : -case.labels] = IGNORED
    batch = Batch(tokens, torch.ones_like(tokens, dtype=torch.bool), labels)
    if case.method == "prefix":
        return Contender(parameter, lambda: model.loss(batch, {"self": parameter}))
    head = torch.arange(-1, -1 - case.virtual, -1, device=case.device)
    batch = replace(batch, heads=(head,), head_of=(0,) * case.rows, virtual=case.virtual)
    return Contender(parameter, lambda: model.loss(batch, parameter))


def theirs(case: Case, dtype: str) -> Contender:
    """peft, as its documentation has it."""
    network = common.network(case.family, case.size, dtype, case.device)
    values = start(case, network).to(case.device)
    kind = PromptTuningConfig if case.method == "prompt" else PrefixTuningConfig
    config = kind(task_type=TaskType.CAUSAL_LM, num_virtual_tokens=case.virtual)
    model = get_peft_model(network, config).to(case.device)
    parameter = model.prompt_encoder["default"].embedding.weight

    def layout(tensor: Tensor) -> Tensor:
        if case.method == "prompt":
            return tensor
        layers, _, virtual, heads, size = values.shape  # theirs is [P, L 2 H_kv d_head]
        return tensor.view(virtual, layers, 2, heads, size).permute(1, 2, 0, 3, 4)

    layout(parameter.data).copy_(values)
    ids = case.ids()
    labels = ids.clone()
    labels[:, : -case.labels] = IGNORED
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels}
    return Contender(parameter, lambda: model(**inputs).loss, layout)


MAKERS = {"peft": theirs, "ours": ours}


def difference(case: Case, one: Contender, other: Contender) -> tuple[float, float]:
    """Relative difference of the losses, and of the gradients (norm of the difference)."""
    losses, gradients = [], []
    for contender in (one, other):
        loss = contender.loss()
        gradient = torch.autograd.grad(loss, contender.parameter)[0]
        losses.append(loss.item())
        gradients.append(contender.layout(gradient).float())
    apart = (gradients[0] - gradients[1]).norm() / gradients[0].norm()
    return abs(losses[0] - losses[1]) / abs(losses[0]), apart.item()


class Products(TorchDispatchMode):
    """Collects the matrix products that are made within it: each shape once, and how often."""

    KINDS = ("mm", "addmm", "bmm", "baddbmm")

    def __init__(self) -> None:
        super().__init__()
        self.calls: dict[Hashable, Callable[[], object]] = {}
        self.count: Counter[Hashable] = Counter()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        more = kwargs or {}
        if func.overloadpacket.__name__ in self.KINDS:
            key = (str(func), *((one.shape, one.stride()) for one in args if torch.is_tensor(one)))
            self.calls.setdefault(key, lambda: func(*args, **more))
            self.count[key] += 1
        return func(*args, **more)

    def seconds(self, rounds: int, device: str, clock: str) -> float:
        """All of them one after the other and nothing else, each at its best of some rounds."""
        steps = {str(n): call for n, call in enumerate(self.calls.values())}
        with torch.no_grad():
            found = common.seconds(steps, rounds, device, clock)
        return sum(min(own) * n for own, n in zip(found.values(), self.count.values(), strict=True))


def products(contender: Contender, device: str, clock: str) -> float:
    """Seconds of a step's matrix products alone."""
    with Products() as made:
        contender.step()
    return made.seconds(5, device, clock)


def flops(contender: Contender) -> int:
    """Floating-point operations of the products in a step."""
    with FlopCounterMode(display=False) as counter:
        contender.step()
    return counter.get_total_flops()


def memory(case: Case, dtype: str, who: str) -> int:
    """Peak bytes of a process that does nothing but this case."""
    spec = json.dumps({"case": asdict(case), "dtype": dtype, "who": who})
    # A child begins with the peak of its parent: measure before this process grows.
    done = subprocess.run(
        [sys.executable, __file__, "--memory-of", spec], capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(f"{who} failed on {case}:\n{done.stderr}")
    return int(done.stdout.split()[-1])


def memory_here(spec: str) -> int:
    """A step of one contender; the peak of this process."""
    given = json.loads(spec)
    case = Case(**given["case"])
    MAKERS[given["who"]](case, given["dtype"]).step()
    return common.peak_memory(case.device)


HEADS = [
    *("model", "method", "P/T/B", "labels", "dtype", "peft s", "ours s", "peft/ours", "target"),
    *("at most", "fp32/bf16", "peft MB", "ours MB", "peft %", "ours %", "loss ±", "gradient ±"),
]
LEGEND = """\
P virtual tokens, B rows of T tokens; labels: tokens of each row that count in the loss. Seconds of
a step (forward, backward, AdamW) and ratios: median (range) over rounds in which the steps take
turns. At most: peft's step over the matrix products of ours alone, each at its best: what the ratio
would be if all else took no time. fp32/bf16: our float32 step over our bfloat16 step. MB: peak of a
process that does only this, model and libraries included. %: FLOP/s of each one's own work, as a
share of those of a large matrix product in the same run and dtype. ±: relative difference between
the two."""


def measure(
    case: Case,
    dtypes: list[str],
    peaks: dict[str, float],
    sizes: dict[tuple[str, str], int],
    rounds: int,
    clock: str,
) -> list[list[str]]:
    """The rows of one case, a dtype each."""
    runs = {(who, dtype): MAKERS[who](case, dtype) for dtype in dtypes for who in MAKERS}
    apart = {d: difference(case, runs["peft", d], runs["ours", d]) for d in dtypes}
    if max(apart.get("float32", (0,))) > EXACT:
        raise SystemExit(f"Not the same computation, float32 {apart['float32']}: {case}")
    work = {key: flops(run) for key, run in runs.items()}
    steps = {f"{who} {dtype}": run.step for (who, dtype), run in runs.items()}
    found = common.seconds(steps, rounds, case.device, clock)
    bare = {dtype: products(runs["ours", dtype], case.device, clock) for dtype in dtypes}
    rows = []
    for dtype in dtypes:
        peft, our = found[f"peft {dtype}"], found[f"ours {dtype}"]
        ratios = [a / b for a, b in zip(peft, our, strict=True)]
        target = "-"
        if case.target is not None:
            met = statistics.median(ratios) >= case.target
            target = f">={case.target:g} {'met' if met else 'missed'}"
        faster = "-"
        if dtype == "bfloat16" and "float32" in dtypes:
            full = found["ours float32"]
            faster = common.spread([a / b for a, b in zip(full, our, strict=True)])
        digits = 4 if statistics.median(our) < 0.1 else 2
        times = [common.spread(values, digits) for values in (peft, our)]
        used = [f"{sizes[w, dtype] / 1e6:.0f}" if sizes else "-" for w in MAKERS]
        share = [
            f"{work[who, dtype] / statistics.median(values) / peaks[dtype]:.0%}"
            for who, values in (("peft", peft), ("ours", our))
        ]
        exact = [f"{value:.1g}" for value in apart[dtype]]
        ratio = common.spread(ratios)
        most = f"{statistics.median(peft) / bare[dtype]:.2f}"
        rows.append(
            [*case.title, dtype, *times, ratio, target, most, faster, *used, *share, *exact]
        )
    return rows


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=common.CONFIGS, default="124m")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--quick", action="store_true", help="one round, no memory")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-memory", action="store_true")
    parser.add_argument("--only", help="cases whose title contains this, e.g. 'gpt2 prompt 100'")
    parser.add_argument("--dtypes", nargs="*", choices=common.DTYPES)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--record", action="store_true", help="append to RESULTS.md")
    parser.add_argument("--note", help="a line for the record")
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    logging.set_verbosity_error()
    if options.threads:
        torch.set_num_threads(options.threads)
    if options.memory_of:
        print(memory_here(options.memory_of))
        return

    dtypes = options.dtypes or (["bfloat16"] if options.size == "1b" else list(common.DTYPES))
    chosen = [
        case
        for case in cases(options.size, options.device)
        if options.only is None or options.only in " ".join(case.title)
    ]
    pairs = [(who, dtype) for dtype in dtypes for who in MAKERS]
    sizes: dict[Case, dict[tuple[str, str], int]] = {}
    for case in chosen:
        sizes[case] = {}
        if not (options.quick or options.no_memory):
            sizes[case] = {(who, dtype): memory(case, dtype, who) for who, dtype in pairs}
    peaks = {d: common.matmul_peak(d, options.device, options.clock) for d in dtypes}
    best = ", ".join(f"{dtype} {peak / 1e9:.0f} GFLOP/s" for dtype, peak in peaks.items())
    about = f"{common.machine(options.device)}. Clock: {options.clock}. Best product: {best}."
    print(f"{about}\n\n{LEGEND}\n")
    rows = []
    rounds = 1 if options.quick else options.rounds
    for case in chosen:
        rows += measure(case, dtypes, peaks, sizes[case], rounds, options.clock)
        print(" | ".join(rows[-len(dtypes)]), flush=True)
    result = common.table(HEADS, rows)
    print(f"\n{result}")
    if options.record:
        title = f"a step of tuning, {options.size}, {options.device}"
        note = f"{options.note}\n\n" if options.note else ""
        common.record(title, f"{note}{about}\n\n{LEGEND}\n\n{result}")


if __name__ == "__main__":
    main()
