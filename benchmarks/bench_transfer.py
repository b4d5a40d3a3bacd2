"""Moving prompts to another model: the closed form beside the paper's search by Adam.

    python benchmarks/bench_transfer.py [--size paper] [--threads N] [--record]

Both are given the same prompt and the same random embedding tables and must end at the same
matching loss. The search is timed once, at the paper's 2000 steps.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import common
import torch
from tokenizers import Tokenizer, models
from torch import Tensor
from transformers import BertConfig, BertForMaskedLM, PreTrainedTokenizerFast

from promptgraft.models import FrozenModel, loading
from promptgraft.prompts import PromptCard, SoftPrompt
from promptgraft.transfer.across_models import Relative, exact, transfer
from promptgraft.transfer.across_models.method import Sent, Space
from promptgraft.transfer.across_models.relative import matching_loss, relative_representation

NEVER_WORSE = 1e-5  # of the matching loss, against the search
TARGETS = {"all": 500.0, "top-k": 50.0}


@dataclass(frozen=True)
class Size:
    """K anchors, D of the source and of the target, P rows, and how many anchors a mask keeps."""

    anchors: int
    source: int
    target: int
    rows: int
    top_k: int
    steps: int


SIZES = {
    "tiny": Size(200, 12, 16, 2, 80, 300),
    "paper": Size(17_230, 768, 1024, 10, 8192, 2000),
}


def table(rows: int, size: int, seed: int) -> Tensor:
    """Random embeddings with what real ones have: a common mean and directions of unlike weight."""
    generator = torch.Generator().manual_seed(seed)
    weights = torch.linspace(1.0, 0.05, size)
    mean = torch.randn(size, generator=generator) * 0.3
    return torch.randn(rows, size, generator=generator) * weights + mean


def spaces(size: Size) -> tuple[Sent, Space]:
    """A prompt in its space, and the target's space."""
    words = tuple(f" {i}" for i in range(size.anchors))
    source, target = table(size.anchors, size.source, 1), table(size.anchors, size.target, 2)
    vectors = torch.randn(size.rows, size.source, generator=torch.Generator().manual_seed(3))
    reference = SimpleNamespace(fingerprint="0" * 64)
    model = SimpleNamespace(name="random", reference=reference, dtype=torch.float32)
    return (
        Sent(vectors, Space(source, source, words, model)),
        Space(target, target, words, model),
    )


def seconds(step: Callable[[], object], rounds: int) -> float:
    """The best of some rounds."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return min(times)


def against_search(size: Size, rounds: int) -> list[list[str]]:
    """One line for all anchors, one for the mask."""
    sent, target = spaces(size)
    lines = []
    for name, top_k in (("all", None), ("top-k", size.top_k)):
        ours = Relative(top_k=top_k)
        search = Relative(top_k=top_k, solver="adam", steps=size.steps)
        relative, mask = ours.encode([sent])

        def loss(found: Tensor, relative: Tensor = relative, mask: Tensor | None = mask) -> float:
            own = relative_representation(found, target.anchors)
            return matching_loss(own, relative, mask).item()

        first = seconds(lambda: ours.move([sent], target), 1)  # noqa: B023
        best = seconds(lambda: ours.move([sent], target), rounds)  # noqa: B023
        start = time.perf_counter()
        searched = search.move([sent], target)
        slow = time.perf_counter() - start
        gap = loss(ours.move([sent], target)) - loss(searched)
        if gap > NEVER_WORSE:
            raise SystemExit(f"{name}: the closed form is worse by {gap:.1e}.")
        met = "met" if slow / best >= TARGETS[name] else "missed"
        target_text = f">={TARGETS[name]:.0f} {met}" if size is SIZES["paper"] else "-"
        lines.append([name, f"{slow:.1f}", f"{first:.3f}", f"{best:.3f}", f"{slow / best:.0f}",
                      target_text, f"{loss(searched):.6f}", f"{gap:+.1e}"])  # fmt: skip
    return lines


def growth(size: Size, rounds: int) -> list[list[str]]:
    """Seconds as K, D, and the number of rows grow: to factor, with the factor, with a mask."""
    shapes = [
        *(Size(k, size.source, size.target, size.rows, size.top_k, 1)
          for k in (size.anchors // 4, size.anchors // 2, size.anchors)),
        *(Size(size.anchors, size.source, d, size.rows, size.top_k, 1)
          for d in (size.target // 2, size.target * 2)),
        *(Size(size.anchors, size.source, size.target, rows, size.top_k, 1) for rows in (1, 100)),
    ]  # fmt: skip
    lines = []
    for shape in shapes:
        sent, target = spaces(shape)
        unit = torch.nn.functional.normalize(target.anchors, dim=-1).double()
        factoring = seconds(lambda: exact.cholesky(unit, exact.RIDGE), 1)  # noqa: B023
        Relative().move([sent], target)
        solving = seconds(lambda: Relative().move([sent], target), rounds)  # noqa: B023
        masked = Relative(top_k=shape.top_k)
        once = seconds(lambda: masked.move([sent], target), 1)  # noqa: B023
        lines.append([str(shape.anchors), str(shape.target), str(shape.rows), f"{factoring:.3f}",
                      f"{solving:.3f}", f"{once:.3f}"])  # fmt: skip
        for file in (loading.CACHE / "factors").iterdir():
            file.unlink()
    return lines


def many(size: Size, prompts: int) -> str:
    """So many prompts to one target, one after the other."""
    sent, target = spaces(size)
    Relative().move([sent], target)
    before = common.peak_memory("cpu")
    start = time.perf_counter()
    for _ in range(prompts):
        Relative().move([sent], target)
    took = time.perf_counter() - start
    more = (common.peak_memory("cpu") - before) / 2**20
    return f"{prompts} prompts to one target: {took:.1f} s, {more:.0f} MiB more at the peak."


def bert(size: Size, width: int) -> FrozenModel:
    """A masked model of random weights with a word for each anchor; one layer, as no more run."""
    core = Tokenizer(models.WordLevel({f"▁w{n}": n for n in range(size.anchors + 4)}, "▁w0"))
    special = dict(cls_token="▁w0", sep_token="▁w1", mask_token="▁w2", pad_token="▁w3")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, **special)
    config = BertConfig(vocab_size=size.anchors + 4, hidden_size=width, intermediate_size=4 * width,
                        num_hidden_layers=1, num_attention_heads=max(1, width // 64))  # fmt: skip
    torch.manual_seed(width)
    return FrozenModel(BertForMaskedLM(config), tokenizer, f"bert of {width}")


def default(size: Size, rounds: int) -> str:
    """The default method between two models whose tables are in memory."""
    source, target = bert(size, size.source), bert(size, size.target)
    card = PromptCard(kind="soft-prompt", length=size.rows, base=source.reference)
    prompt = SoftPrompt(table(size.rows, size.source, 3), card)
    first = seconds(lambda: transfer([prompt], [source], target), 1)
    then = seconds(lambda: transfer([prompt], [source], target), rounds)
    return (
        f"The default, whole, from a BERT of {size.source} to one of {size.target} dimensions that "
        f"share {size.anchors:,} words: {first:.2f} s the first time, then {then:.2f} s."
    )


LEGEND = """\
K anchors, D the target's embedding size, P virtual tokens. Seconds: `search` of Adam at the paper's
settings, `first` of the closed form when the target is new, `then` with its factor from the disk.
Gap: matching loss of the closed form minus the search's."""


def main(arguments: list[str] | None = None) -> None:
    """Measure, print, and if asked record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=SIZES, default="paper")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--prompts", type=int, default=1000)
    parser.add_argument("--note", default="")
    parser.add_argument("--record", action="store_true", help="append to RESULTS.md")
    options = parser.parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    size = SIZES[options.size]
    about = f"{common.machine('cpu')}."
    print(f"{about}\n\n{LEGEND}\n", flush=True)
    with TemporaryDirectory() as folder:
        loading.CACHE = Path(folder)
        heads = ["anchors", "search s", "first s", "then s", "search/then", "target", "loss", "gap"]
        versus = common.table(heads, against_search(size, options.rounds))
        print(versus, flush=True)
        heads = ["K", "D", "P", "factor s", "then s", f"top-{size.top_k} s"]
        grown = common.table(heads, growth(size, options.rounds))
        print(f"\n{grown}", flush=True)
        total = f"{many(size, options.prompts)}\n\n{default(size, options.rounds)}"
    print(f"\n{total}")
    if options.record:
        note = f"{options.note}\n\n" if options.note else ""
        body = f"{note}{about}\n\n{LEGEND}\n\n{versus}\n\n{grown}\n\n{total}"
        common.record(f"transfer across models, {options.size}", body)


if __name__ == "__main__":
    main()
