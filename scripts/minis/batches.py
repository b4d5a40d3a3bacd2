"""Batches for the three families, drawn as a pure function of (seed, step).

Every step has three parts of fixed shape: facts, tasks, plain text. Rows of a part have
similar length, so that little is padding, and logits are needed at few positions only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .corpus import Rows
from .examples import FACT, JUDGE, LABEL, TEXT, TOPIC, WORDS, WRITE

# Longest row (with special tokens) of each bucket.
FACT_BUCKETS = (14, 18, 24, 32)
TASK_BUCKETS = (24, 32, 48, 64, 96)
OTHER_WEIGHT = 0.3  # masked words of a row beside its answer
OTHERS = 2  # so many of them in each row
LONGEST_ANSWER = {FACT: 2, LABEL: 3, WRITE: 40, JUDGE: 3, TOPIC: 3, TEXT: 3, WORDS: 3}  # by kind
# Which share of a step's tokens each part has, by family. Tasks with one word to answer are drawn
# by kind, not by how many rows there are.
WRITERS = {"facts": 0.18, "tasks": 0.30, "words": 0.03, "writes": 0.34, "plain": 0.15}
SHARES = {
    "masked": {"facts": 0.38, "tasks": 0.42, "words": 0.05, "plain": 0.15},
    "causal": WRITERS,
    "seq2seq": WRITERS,
}
KINDS = {JUDGE: 0.4, TOPIC: 0.18, LABEL: 0.27, TEXT: 0.15}
PLAIN_MASKED = 0.2
SPAN = 3  # tokens of a span that infilling takes out


@dataclass(frozen=True)
class Batch:
    """Input and labels of one part of a step.

    input_ids, attention_mask  [B, T]; decoder_ids [B, U] for seq2seq
    positions, targets         [B, K] where a label is, and which
    weights                    [B, K] sum to 1
    """

    input_ids: Tensor
    attention_mask: Tensor
    positions: Tensor
    targets: Tensor
    weights: Tensor
    decoder_ids: Tensor | None = None


@dataclass(frozen=True)
class Symbols:
    """The special tokens a family needs, as ids (-1: none)."""

    pad: int
    first: int
    last: int
    mask: int


class Sampler:
    """Draws the batches of one model."""

    def __init__(self, rows: Rows, plain: np.ndarray, symbols: Symbols, family: str, seed: int,
                 sentinel: int = -1) -> None:  # fmt: skip
        """`sentinel`: id of <extra_id_0> (T5), or -1."""
        self.rows, self.plain, self.symbols = rows, plain, symbols
        self.family, self.seed, self.sentinel = family, seed, sentinel
        self.plain_length = 64 if family == "masked" else 96
        length = np.diff(rows.start) + 2
        answer = rows.answer[:, 1] - rows.answer[:, 0]
        short = np.array([LONGEST_ANSWER[kind] for kind in range(7)])[rows.kind]
        after = length - 2 - rows.answer[:, 1]
        usable = answer <= short
        if family == "causal":
            usable &= after <= 1  # a causal model learns to answer at the end
        self.facts = self._buckets(usable & (rows.kind == FACT), length, FACT_BUCKETS)
        one_word = usable & np.isin(rows.kind, list(KINDS))
        self.tasks = self._buckets(one_word, length, TASK_BUCKETS)
        self.words = self._buckets(usable & (rows.kind == WORDS), length, TASK_BUCKETS)
        self.writes = self._buckets(usable & (rows.kind == WRITE), length, TASK_BUCKETS)

    @staticmethod
    def _buckets(keep: np.ndarray, length: np.ndarray, ends: tuple[int, ...]) -> list:
        """[(longest, rows)] with the share of tokens as the chance to be drawn."""
        made, low = [], 0
        for end in ends:
            rows = np.flatnonzero(keep & (length > low) & (length <= end))
            low = end
            if len(rows):
                made.append((end, rows))
        total = sum(end * len(rows) for end, rows in made)
        return [(end, rows, end * len(rows) / total) for end, rows in made]

    def _chances(self, picked: np.ndarray) -> np.ndarray:
        """The chance of each row when kinds are drawn as KINDS says."""
        kinds = self.rows.kind[picked]
        chances = np.zeros(len(picked))
        for kind, share in KINDS.items():
            here = kinds == kind
            chances[here] = share / max(1, here.sum())
        return chances / chances.sum()

    def step(self, number: int, tokens: int, spans: bool = True) -> list[Batch]:
        """The parts of one step of about so many tokens, shared out as SHARES says.

        spans  False in T5's prefix-LM phase
        """
        rng = np.random.default_rng((self.seed, number))
        sizes = {name: int(share * tokens) for name, share in SHARES[self.family].items()}
        parts = [self._part(self.facts, sizes["facts"], rng)]
        parts.append(self._part(self.tasks, sizes["tasks"], rng, by_kind=True))
        parts.append(self._part(self.words, sizes["words"], rng))
        if "writes" in sizes:
            parts.append(self._part(self.writes, sizes["writes"], rng))
        parts.append(self.plain_batch(self.plain, sizes["plain"], rng, spans))
        return parts

    def plain_batch(self, stream: np.ndarray, tokens: int, rng: np.random.Generator,
                    spans: bool = True) -> Batch:  # fmt: skip
        """Stretches of plain text, of the family's own objective."""
        count, length = max(1, tokens // self.plain_length), self.plain_length - 2
        starts = rng.integers(0, len(stream) - length, count)
        text = stream[starts[:, None] + np.arange(length)].astype(np.int64)
        if self.family == "masked":
            return self._mask_plain(text, rng)
        if self.family == "causal":
            return _tensors(text[:, :-1], np.ones_like(text[:, :-1]),
                            np.tile(np.arange(length - 1), (count, 1)), text[:, 1:],
                            np.ones((count, length - 1)))  # fmt: skip
        return self._infill(text, rng) if spans else self._split(text, rng)

    def _part(
        self, buckets: list, tokens: int, rng: np.random.Generator, by_kind: bool = False
    ) -> Batch:
        choice = rng.choice(len(buckets), p=[share for _, _, share in buckets])
        length, rows, _ = buckets[choice]
        if by_kind:
            rows = rng.choice(rows, 20 * max(1, tokens // length))
            picked = rng.choice(rows, max(1, tokens // length), p=self._chances(rows))
        else:
            picked = rng.choice(rows, max(1, tokens // length))
        make = {"masked": self._masked, "causal": self._causal, "seq2seq": self._seq2seq}
        return make[self.family](picked, length, rng)

    def _row(self, index: int) -> tuple[np.ndarray, int, int]:
        ids = self.rows.ids[self.rows.start[index] : self.rows.start[index + 1]]
        first, end = self.rows.answer[index]
        return ids.astype(np.int64), int(first), int(end)

    def _masked(self, picked: np.ndarray, length: int, rng: np.random.Generator) -> Batch:
        s, count, slots = self.symbols, len(picked), 3 + OTHERS
        ids = np.full((count, length), s.pad)
        places = np.zeros((count, slots), np.int64)
        weights = np.zeros((count, slots))
        for i, index in enumerate(picked):
            row, first, end = self._row(index)
            size = len(row)
            ids[i, 0], ids[i, size + 1] = s.first, s.last
            ids[i, 1 : size + 1] = row
            answer = end - first
            places[i, :answer] = np.arange(first, end) + 1
            weights[i, :answer] = 1.0 / answer
            if rng.random() < 0.7:
                others = rng.integers(0, size, OTHERS)
                others = others[(others < first) | (others >= end)]
                places[i, 3 : 3 + len(others)] = others + 1
                weights[i, 3 : 3 + len(others)] = OTHER_WEIGHT
        targets = np.take_along_axis(ids, places, 1)
        np.put_along_axis(ids, places, s.mask, 1)
        ids[:, 0] = s.first  # unused slots point there
        return _tensors(ids, ids != s.pad, places, targets, weights)

    def _mask_plain(self, text: np.ndarray, rng: np.random.Generator) -> Batch:
        s, (count, length) = self.symbols, text.shape
        ids = np.concatenate([np.full((count, 1), s.first), text, np.full((count, 1), s.last)], 1)
        slots = int(PLAIN_MASKED * length)
        places = rng.random((count, length)).argpartition(slots, 1)[:, :slots] + 1
        targets = np.take_along_axis(ids, places, 1)
        np.put_along_axis(ids, places, s.mask, 1)
        return _tensors(ids, np.ones_like(ids), places, targets, np.ones(places.shape))

    def _causal(self, picked: np.ndarray, length: int, rng: np.random.Generator) -> Batch:
        """Labels: the answer, what ends it, and a few words before it."""
        s, count = self.symbols, len(picked)
        ids = np.full((count, length), s.pad)
        found = [self._row(index) for index in picked]
        slots = max(len(row) - first for row, first, _ in found) + 1 + OTHERS
        places = np.zeros((count, slots), np.int64)
        targets = np.zeros((count, slots), np.int64)
        weights = np.zeros((count, slots))
        for i, (row, first, _) in enumerate(found):
            row = np.append(row, s.last)
            ids[i, : len(row)] = row
            tail = np.arange(max(first, 1), len(row))
            n = len(tail)
            places[i, :n], targets[i, :n] = tail - 1, row[tail]
            weights[i, :n] = 1.0 if n > 4 else np.where(tail == first, 1.0, 0.2)[:n]
            if first > 1:
                others = rng.integers(1, first, OTHERS)
                places[i, n : n + OTHERS], targets[i, n : n + OTHERS] = others - 1, row[others]
                weights[i, n : n + OTHERS] = OTHER_WEIGHT
        return _tensors(ids, ids != s.pad, places, targets, weights)

    def _seq2seq(self, picked: np.ndarray, length: int, rng: np.random.Generator) -> Batch:
        """Encoder: the row with a mask for its answer, or what stands before; decoder: answer."""
        s = self.symbols
        sources, answers = [], []
        for index in picked:
            row, first, end = self._row(index)
            tail = row[end:]
            gap = [self.sentinel if self.sentinel >= 0 else s.mask]
            if len(tail) <= 1 and rng.random() < 0.5:
                gap, tail = [], row[:0]
            sources.append(np.concatenate([row[:first], gap, tail]).astype(np.int64))
            answers.append(row[first:end])
        return self._pairs(sources, answers, length)

    def _pairs(self, sources: list, answers: list, length: int) -> Batch:
        s, count = self.symbols, len(sources)
        head = [s.first] if s.first >= 0 else []
        ids = np.full((count, length), s.pad)
        widest = max(len(a) for a in answers) + 1 + len(head)
        decoder = np.full((count, widest), s.pad)
        targets = np.full((count, widest), s.pad)
        weights = np.zeros((count, widest))
        for i, (source, answer) in enumerate(zip(sources, answers, strict=True)):
            source = np.concatenate([head, source, [s.last]])[:length]
            labels = np.concatenate([head, answer, [s.last]]).astype(np.int64)
            ids[i, : len(source)] = source
            targets[i, : len(labels)] = labels
            decoder[i, 0] = s.last if head else s.pad  # BART starts from </s>, T5 from <pad>
            decoder[i, 1 : len(labels)] = labels[:-1]
            weights[i, : len(labels)] = 1.0
            weights[i, 0] = 0.02 if head else 1.0
        places = np.tile(np.arange(widest), (count, 1))
        return _tensors(ids, ids != s.pad, places, targets, weights, decoder)

    def _infill(self, text: np.ndarray, rng: np.random.Generator) -> Batch:
        """Spans taken out: T5 writes them after their sentinels, BART the whole text."""
        sources, answers = [], []
        for row in text:
            source, answer, at = [], [], 0
            for span, first in enumerate(np.sort(rng.choice(len(row) // 6, 7, False)) * 6):
                gap = self.sentinel + span if self.sentinel >= 0 else self.symbols.mask
                first = int(first) + int(rng.integers(0, 3))
                size = int(rng.integers(1, 2 * SPAN - 1))
                source += [*row[at:first], gap]
                answer += [gap, *row[first : first + size]]
                at = first + size
            source += list(row[at:])
            sources.append(np.array(source))
            answers.append(np.array(answer) if self.sentinel >= 0 else row)
        return self._pairs(sources, answers, self.plain_length)

    def _split(self, text: np.ndarray, rng: np.random.Generator) -> Batch:
        """Prefix-LM: the first part is read, the rest is written."""
        cut = int(rng.integers(text.shape[1] // 4, text.shape[1] // 2))
        return self._pairs(list(text[:, :cut]), list(text[:, cut:]), cut + 2)


def _tensors(ids: np.ndarray, mask: np.ndarray, places: np.ndarray, targets: np.ndarray,
             weights: np.ndarray, decoder: np.ndarray | None = None) -> Batch:  # fmt: skip
    return Batch(
        torch.from_numpy(np.ascontiguousarray(ids, np.int64)),
        torch.from_numpy(np.ascontiguousarray(mask, np.int64)),
        torch.from_numpy(np.ascontiguousarray(places, np.int64)),
        torch.from_numpy(np.ascontiguousarray(targets, np.int64)),
        torch.from_numpy((weights / weights.sum()).astype(np.float32)),
        None if decoder is None else torch.from_numpy(decoder),
    )
