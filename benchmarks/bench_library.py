"""The library as it grows: adding, opening, listing, filtering, nearest neighbours, disk.

    python benchmarks/bench_library.py [--sizes 100 1000 10000 100000] [--clock cpu] [--record]

Prompts are synthetic and of real shape: 20 virtual tokens of 768 dimensions, a card as a run
writes it, eight to a topic. All belong to one model, the worst case for the search.
"""

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import common
import torch

from promptgraft.library import Library
from promptgraft.prompts import ModelReference, PromptCard, SoftPrompt

P, D, TOPICS = 20, 768, 8
SIZES = [100, 1000, 10_000, 100_000]
FILTER = "metric.accuracy>95 and base~mini/*"
TARGETS = {"add ms": 5.0, "open s": 1.0, "list s": 0.2, "filter s": 0.2, "similar s": 0.2}
TRUSTED = 2.5  # seconds after which the index need not look at what was just written
FINGERPRINT = "ab" * 32


def prompt(number: int) -> SoftPrompt:
    """The same prompt for the same number; those of a topic lie near each other."""
    topic = torch.Generator().manual_seed(number // TOPICS)
    own = torch.Generator().manual_seed(10**9 + number)
    vectors = torch.randn(1, D, generator=topic) + torch.randn(P, D, generator=own)
    base = ModelReference(
        name="mini/t5-s",
        fingerprint=FINGERPRINT,
        tokenizer_hash=FINGERPRINT,
        family="seq2seq",
        embedding_size=D,
    )
    score = 50 + number * 7919 % 5000 / 100
    card = PromptCard(
        kind="soft-prompt",
        length=P,
        base=base,
        task=f"customer{number // 10}",
        template="{prompt} {text}",
        verbalizer={"0": "bad", "1": "good"},
        method="soft-prompt",
        hyperparameters={
            "steps": 600,
            "lr": 0.03,
            "batch_size": 16,
            "init": "vocabulary",
            "data": {"text": "review", "label": "stars"},
        },
        seed=number,
        data_hash=FINGERPRINT,
        metrics={"validation": score, "test.accuracy": score, "test.macro_f1": score - 1},
        curve=tuple(3 / (1 + step) for step in range(60)),
        library_version="0.1.0",
        created="2026-03-01T12:00:00Z",
    )
    return SoftPrompt(vectors, card)


def named(first: int, last: int) -> Iterator[tuple[SoftPrompt, str]]:
    for number in range(first, last):
        yield prompt(number), f"customer{number // 10}@mini/t5-s:{number}"


class Stopwatch:
    """Wall time; or "cpu", time on the processor, which other programs disturb less."""

    def __init__(self, clock: str, rounds: int) -> None:
        self.read = time.perf_counter if clock == "wall" else time.process_time
        self.rounds = rounds

    def once(self, work: Callable[[], object]) -> float:
        start = self.read()
        work()
        return self.read() - start

    def median(self, work: Callable[[], object]) -> float:
        return statistics.median(self.once(work) for _ in range(self.rounds))


def grow(folder: Path, first: int, last: int, watch: Stopwatch) -> float:
    """Add prompts; milliseconds for each, without those for making it."""
    sample = min(last, first + 200)
    making = watch.once(lambda: list(named(first, sample))) / (sample - first)
    library = Library(folder)

    def add() -> None:
        library.add_all(named(first, last))
        len(library)  # what adding leaves to the next look belongs to it

    return 1000 * (watch.once(add) / (last - first) - making)


def measure(folder: Path, size: int, watch: Stopwatch) -> dict[str, float]:
    """Every question to a library of this size, each from an open library but `open`."""
    time.sleep(TRUSTED)
    library = Library(folder)
    assert len(library) == size
    target = f"customer0@mini/t5-s:{TOPICS - 1}"
    nearest = library.similar(target, TOPICS - 1)
    assert {one.name.rpartition(":")[2] for one in nearest} == set(map(str, range(TOPICS - 1)))
    return {
        "open s": watch.median(lambda: len(Library(folder))),
        "list s": watch.median(library.list),
        "filter s": watch.median(lambda: library.list(where=FILTER)),
        "similar s": watch.median(lambda: library.similar(target)),
        "get ms": 1000 * watch.median(lambda: library.get(target)),
        "index MB": library.index.database.path.stat().st_size / 1e6,
    }


def run(sizes: Sequence[int], folder: Path, watch: Stopwatch) -> str:
    """The table of all sizes."""
    rows, before = [], 0
    for size in sorted(sizes):
        found = {"add ms": grow(folder, before, size, watch)} | measure(folder, size, watch)
        before = size
        rows.append([f"{size:,}", *(f"{value:.3f}" for value in found.values())])
        print("  ".join(rows[-1]), flush=True)
        missed = [name for name, limit in TARGETS.items() if found[name] > limit]
        if missed:
            print(f"over the target at {size:,}: {', '.join(missed)}", flush=True)
    targets = ["target", *(str(TARGETS.get(name, "")) for name in found)]
    return common.table(["prompts", *found], [*rows, targets])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--out", type=Path, help="an empty folder; default a temporary one")
    parser.add_argument("--record", action="store_true", help="append to RESULTS.md")
    given = parser.parse_args(arguments)
    folder = given.out or Path(tempfile.mkdtemp(prefix="library-"))
    if folder.exists() and any(folder.iterdir()):
        sys.exit(f"{folder} is not empty.")
    try:
        body = run(given.sizes, folder, Stopwatch(given.clock, given.rounds))
    finally:
        if given.out is None:
            shutil.rmtree(folder, ignore_errors=True)
    print(body)
    if given.record:
        common.record(f"Library, {given.clock} time", f"{common.machine('cpu')}\n\n{body}")


if __name__ == "__main__":
    main()
