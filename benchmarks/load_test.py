"""A server under load for a long time: nothing fails that is not the client's fault, nothing grows.

    python benchmarks/load_test.py [--minutes 10] [--size tiny] [--prompts 100] [--record]

The server is a process of its own on loopback. First as many clients as it has rows ask one after
the other, which is its capacity; then requests come by chance at 80 % of that, some of whose
clients hang up and some of which are wrong.
"""

import argparse
import asyncio
import contextlib
import dataclasses
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import bench_serving
import common
import httpx
import psutil
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast
from transformers.utils import logging

from promptgraft.library import Library
from promptgraft.models import FrozenModel

LOAD = 0.8  # of capacity
HANG_UPS, WRONG = 0.08, 0.07  # shares of the requests
TEXTS, MOST_NEW = 40, 32
MOST_GROWTH = 0.05  # of memory, after warm-up
MOST_OTHER = 0.01  # texts that are not as the first time; floats may tip a tie of two tokens
NO_CONTENT = {"model": "task0@random", "prompt": "w1", "max_tokens": 0}
BAD = [
    {},
    NO_CONTENT,
    {**NO_CONTENT, "max_tokens": 10**9},
    {**NO_CONTENT, "max_tokens": 1, "model": "../../etc/passwd"},
    {**NO_CONTENT, "max_tokens": 1, "prompt": 3},
    {**NO_CONTENT, "max_tokens": 1, "prompt": "w1 " * 400_000},
]


def words(size: int) -> PreTrainedTokenizerFast:
    """A word for every token, so that texts tell what was written."""
    core = Tokenizer(models.WordLevel({f"w{n}": n for n in range(size)}, unk_token="w1"))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=core, unk_token="w1")


def model_of(size: str) -> FrozenModel:
    network = common.network("gpt2", size, "float32", "cpu")
    network.generation_config.eos_token_id = None
    return FrozenModel(network, words(network.config.vocab_size), "random")


def serve(folder: str, port: int, size: str, rows: int) -> None:
    """The server's process."""
    import uvicorn

    from promptgraft.serving.http import Server

    logging.set_verbosity_error()
    server = Server(model_of(size), Library(Path(folder)), rows=rows, prompt_bytes=2**24)
    uvicorn.run(server.app, host="127.0.0.1", port=port, log_level="error")


@dataclasses.dataclass
class Seen:
    """What the clients saw."""

    seconds: list[float] = dataclasses.field(default_factory=list)  # of whole answers
    first: list[float] = dataclasses.field(default_factory=list)  # until the first piece
    kinds: Counter[str] = dataclasses.field(default_factory=Counter)
    errors: Counter[str] = dataclasses.field(default_factory=Counter)  # that are not the client's
    texts: dict[tuple[str, str, int], str] = dataclasses.field(default_factory=dict)
    again: int = 0
    other: int = 0


class Clients:
    """Those who ask."""

    def __init__(self, url: str, names: list[str]) -> None:
        self.names, self.picks = names, random.Random(0)
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=20)
        self.http = httpx.AsyncClient(base_url=url, timeout=120, limits=limits)

    def body(self) -> dict[str, object]:
        """A request out of a fixed set."""
        number = self.picks.randrange(TEXTS)
        chosen = random.Random(number)
        text = " ".join(f"w{chosen.randrange(300)}" for _ in range(chosen.randrange(1, 40)))
        name = self.names[self.picks.randrange(4) * 7 * number % len(self.names)]
        return {"model": name, "prompt": text, "max_tokens": 1 + number % MOST_NEW}

    async def ordinary(self, seen: Seen) -> None:
        body, start = self.body(), time.perf_counter()
        answer = await self.http.post("/v1/completions", json=body)
        if answer.status_code != 200:
            seen.errors[f"{answer.status_code} {answer.text[:80]}"] += 1
            return
        seen.seconds.append(time.perf_counter() - start)
        text = answer.json()["choices"][0]["text"]
        key = (str(body["model"]), str(body["prompt"]), int(str(body["max_tokens"])))
        seen.again += key in seen.texts
        seen.other += seen.texts.setdefault(key, text) != text

    async def hang_up(self, seen: Seen) -> None:
        """Listen to some pieces, or only for a moment."""
        body, start = self.body() | {"stream": self.picks.random() < 0.5}, time.perf_counter()
        pieces = self.picks.randrange(3)
        with contextlib.suppress(httpx.TimeoutException):
            async with self.http.stream(
                "POST", "/v1/completions", json=body, timeout=self.picks.random()
            ) as answer:
                async for _ in answer.aiter_lines():
                    if body["stream"] and not pieces:
                        seen.first.append(time.perf_counter() - start)
                    if pieces == 0:
                        return
                    pieces -= 1

    async def wrong(self, seen: Seen) -> None:
        answer = await self.http.post("/v1/completions", json=self.picks.choice(BAD))
        if not 400 <= answer.status_code < 500:
            seen.errors[f"{answer.status_code} to a wrong request"] += 1

    async def one(self, seen: Seen) -> None:
        """A request of some kind."""
        chance = self.picks.random()
        kind = "hang-up" if chance < HANG_UPS else "wrong" if chance < HANG_UPS + WRONG else "whole"
        seen.kinds[kind] += 1
        ask = {"hang-up": self.hang_up, "wrong": self.wrong, "whole": self.ordinary}[kind]
        try:
            await ask(seen)
        except httpx.HTTPError as error:
            seen.errors[f"{type(error).__name__} in a {kind} request"] += 1

    async def capacity(self, rows: int, seconds: float) -> float:
        """Whole requests a second with as many clients as rows."""
        until, done = time.perf_counter() + seconds, Seen()

        async def client() -> None:
            while time.perf_counter() < until:
                await self.ordinary(done)

        await asyncio.gather(*(client() for _ in range(rows)))
        return len(done.seconds) / seconds

    async def load(self, rate: float, seconds: float, server: psutil.Process) -> tuple[Seen, list]:
        """Requests by chance, `rate` a second; what was seen, and memory (seconds, bytes)."""
        seen, memory, asked = Seen(), [], set()
        start = now = due = time.perf_counter()
        while now - start < seconds:
            task = asyncio.create_task(self.one(seen))
            asked.add(task)
            task.add_done_callback(asked.discard)
            if not memory or now - start - memory[-1][0] >= min(1.0, seconds / 50):
                memory.append((now - start, server.memory_info().rss))
            due += self.picks.expovariate(rate)  # not from now on: asking takes time, too
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            now = time.perf_counter()
        await asyncio.gather(*asked)
        return seen, memory

    async def left(self) -> dict[str, float]:
        """Rows being written and requests waiting, once all have been answered."""
        for _ in range(50):
            text = (await self.http.get("/metrics")).text
            lines = [line.split() for line in text.splitlines() if not line.startswith("#")]
            found = {name: float(value) for name, value in lines}
            left = {name: found[f"promptgraft_{name}"] for name in ("rows", "waiting")}
            if not any(left.values()):
                break
            await asyncio.sleep(0.1)
        return left


def growth(memory: list[tuple[float, int]]) -> float:
    """Of the median of the last fifth over that of the fifth after the first (warm-up)."""
    whole = memory[-1][0]

    def median(start: float, stop: float) -> float:
        return statistics.median(size for at, size in memory if start * whole <= at <= stop * whole)

    return median(0.8, 1.0) / median(0.2, 0.4) - 1.0


async def soak(url: str, names: list[str], rows: int, seconds: float, server: psutil.Process):
    """The whole measurement."""
    clients = Clients(url, names)
    async with clients.http:
        for _ in range(600):
            with contextlib.suppress(httpx.ConnectError):
                if (await clients.http.get("/readyz")).status_code == 200:
                    break
            await asyncio.sleep(0.2)
        await clients.capacity(rows, min(10.0, seconds / 10))  # warm-up
        capacity = await clients.capacity(rows, min(30.0, seconds / 4))
        seen, memory = await clients.load(LOAD * capacity, seconds, server)
        return capacity, seen, memory, await clients.left()


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))] if values else 0.0


def main(arguments: list[str] | None = None) -> None:
    """Measure, print, check, and if asked record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--size", choices=common.CONFIGS, default="tiny")
    parser.add_argument("--prompts", type=int, default=100)
    parser.add_argument("--rows", type=int, default=16)
    parser.add_argument("--note", default="")
    parser.add_argument("--record", action="store_true", help="append to RESULTS.md")
    parser.add_argument("--serve", nargs=2, metavar=("FOLDER", "PORT"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.serve:
        serve(options.serve[0], int(options.serve[1]), options.size, options.rows)
        return
    logging.set_verbosity_error()
    with tempfile.TemporaryDirectory() as folder:
        names = bench_serving.fill(Library(Path(folder)), model_of(options.size), options.prompts)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        command = [sys.executable, __file__, "--serve", folder, str(port), "--size", options.size,
                   "--rows", str(options.rows)]  # fmt: skip
        with subprocess.Popen(command) as process:
            try:
                capacity, seen, memory, left = asyncio.run(
                    soak(f"http://127.0.0.1:{port}", names, options.rows, 60 * options.minutes,
                         psutil.Process(process.pid))
                )  # fmt: skip
            finally:
                process.terminate()
    grown = growth(memory)
    about = (
        f"{common.machine('cpu')}. {options.minutes:g} minutes, {options.size}, {options.rows} "
        f"rows, {options.prompts} prompts of {bench_serving.VIRTUAL} virtual tokens."
    )
    rows = [
        ["capacity", f"{capacity:.1f} requests/s"],
        ["load", f"{sum(seen.kinds.values()) / 60 / options.minutes:.1f} requests/s"],
        ["requests", ", ".join(f"{count} {kind}" for kind, count in sorted(seen.kinds.items()))],
        ["errors not the client's", str(sum(seen.errors.values()))],
        ["left at the end", ", ".join(f"{value:g} {name}" for name, value in left.items())],
        ["texts not as the first time", f"{seen.other} of {seen.again}"],
        ["memory", f"{memory[-1][1] / 2**20:.0f} MiB, {100 * grown:+.1f} % since warm-up"],
        *(
            [f"whole answer, {name}", f"{1000 * percentile(seen.seconds, share):.0f} ms"]
            for name, share in (("median", 0.5), ("p99", 0.99))
        ),
        ["first piece, p99", f"{1000 * percentile(seen.first, 0.99):.0f} ms"],
    ]
    table = common.table(["measure", "found"], rows)
    print(f"{about}\n\n{table}")
    if options.record:
        note = f"{options.note}\n\n" if options.note else ""
        common.record(f"soak, {options.size}", f"{note}{about}\n\n{table}")
    wrong = [f"{count}x {error}" for error, count in seen.errors.items()]
    if any(left.values()):
        wrong.append(f"left at the end: {left}")
    if seen.other > MOST_OTHER * max(seen.again, 1):
        wrong.append(f"{seen.other} of {seen.again} texts are not as the first time")
    if grown > MOST_GROWTH:
        wrong.append(f"memory grew by {100 * grown:.1f} %")
    if wrong:
        raise SystemExit("\n".join(wrong))


if __name__ == "__main__":
    main()
