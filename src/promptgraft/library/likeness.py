"""Which prompts of one model resemble each other: cosine of the mean over virtual tokens.

(PTG compares source prompts by the distances of their tokens; on prompts of very different norms
the cosine of means groups tasks as one would expect.) The index keeps a sketch of every mean: a few
numbers that nearly keep all cosines. It proposes, the prompts themselves decide.
"""

import numpy as np
from numpy.typing import NDArray

from promptgraft.prompts import Prompt

SIZE = 256  # numbers of a sketch, a byte each
BLOCK = 4096  # sketches as floats at a time: few enough for the cache


def mean_vector(prompt: Prompt) -> NDArray[np.float64]:
    """The mean over the virtual tokens, all sites in a row: [D], or [sum of 2 L H_kv d_head]."""
    axis = 0 if prompt.kind == "soft-prompt" else 2
    tensors = prompt.tensors()
    means = [tensors[name].double().mean(axis).flatten().numpy() for name in sorted(tensors)]
    return np.concatenate(means)


def cosine(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """In [-1, 1]; 0 if one of them is zero."""
    norms = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) / norms if norms else 0.0


def sketch(vector: NDArray[np.float64]) -> bytes:
    """SIZE whole numbers from -127 to 127 whose cosines are nearly those of the vectors.

    Feature hashing (Weinberger et al. 2009): every number is added, with a sign, to one of SIZE
    sums, both chosen by its place alone. Shorter vectors stay as they are.
    """
    folded = np.zeros(SIZE)
    if len(vector) <= SIZE:
        folded[: len(vector)] = vector
    else:
        mixed = np.arange(1, len(vector) + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(32))) * np.uint64(0xBF58476D1CE4E5B9)
        sign = 1 - 2 * (mixed >> np.uint64(63)).astype(np.float64)
        place = ((mixed >> np.uint64(40)) % np.uint64(SIZE)).astype(np.int64)
        np.add.at(folded, place, sign * vector)
    largest = np.abs(folded).max()
    return np.rint(folded * (127 / largest if largest else 0)).astype(np.int8).tobytes()


def closest(query: bytes, sketches: bytes, count: int) -> list[int]:
    """The places of the `count` sketches with the largest cosines, best first."""
    own = np.frombuffer(query, np.int8).astype(np.float32)
    every = np.frombuffer(sketches, np.int8).reshape(-1, SIZE)
    scores = np.empty(len(every), np.float32)
    for start in range(0, len(every), BLOCK):
        table = every[start : start + BLOCK].astype(np.float32)
        norms = np.sqrt(np.einsum("ij,ij->i", table, table))
        scores[start : start + BLOCK] = table @ own / np.maximum(norms, 1)
    if not len(scores):
        return []
    best = np.argpartition(-scores, min(count, len(scores)) - 1)[:count]
    return [int(place) for place in best[np.argsort(-scores[best])]]
