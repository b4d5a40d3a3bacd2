"""Pretrain the miniature models that promptgraft ships.

    PROMPTGRAFT_DATA=folder python scripts/pretrain_minis.py --prepare
    PROMPTGRAFT_DATA=folder python scripts/pretrain_minis.py bert-s bert-m

The first builds vocabularies and token arrays in build/minis/data (about two minutes); the
second trains the named minis one after the other (all of them without a name), resuming from
their last checkpoint in build/minis/<name>, and exports each to src/promptgraft/minis/<name>,
interim states too.
`--export` only exports what the last checkpoint holds.
"""

from __future__ import annotations

import argparse
import math
import time
from functools import partial
from pathlib import Path

from minis import corpus, export, training
from minis.networks import MINIS

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Parse the command line and do what it says."""
    parser = argparse.ArgumentParser(description="Pretrain the miniature models.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(MINIS))
    parser.add_argument("--prepare", action="store_true", help="build the data and stop")
    parser.add_argument("--export", action="store_true", help="export checkpoints, train nothing")
    parser.add_argument("--steps", type=int, help="instead of the mini's own number")
    parser.add_argument("--minutes", type=float, default=math.inf, metavar="M",
                        help="cut each schedule so that it ends in about M minutes")  # fmt: skip
    parser.add_argument("--build", type=Path, default=ROOT / "build" / "minis")
    parser.add_argument("--target", type=Path, default=ROOT / "src" / "promptgraft" / "minis")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in MINIS]
    if unknown:
        parser.error(f"no mini is called {unknown[0]!r}; there are {', '.join(MINIS)}")
    data = options.build / "data"
    if options.prepare or not corpus.is_built(data):
        data.mkdir(parents=True, exist_ok=True)
        corpus.build(data)
    if options.prepare:
        return
    for name in options.names or list(MINIS):
        mini, folder = MINIS[name], options.build / name
        write = partial(export.export, mini, data, folder, options.target / name)
        if not options.export:
            until = time.time() + 60 * options.minutes
            training.train(mini, data, folder, options.steps, write, until)
        write()
        print(f"{name}: exported to {options.target / name}", flush=True)


if __name__ == "__main__":
    main()
