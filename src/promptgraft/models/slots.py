"""Continuous batching of a causal model: rows of any length are written on together, come and go.

The rows' keys and values lie against a common right edge, so that every step writes one column for
all of them and a row that joins only needs its own numbers put there:

    row 0   . . . p p t t t t      p: what its prompt came to (once), t: its text so far
    row 1   . . . . . . . p t      .: not seen
    row 2   p p p p p t t t t
                        edge ^     the next token of all of them goes here
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers.cache_utils import Cache, CacheLayerMixin

from promptgraft.errors import PromptgraftError
from promptgraft.models.batch import Encoded
from promptgraft.models.gather import Prompts
from promptgraft.models.prompted import PromptedModel

ROOM = 64  # columns that storage grows by, at least


class Slots:
    """The rows that are being written, and what the model remembers of each."""

    def __init__(self, model: PromptedModel) -> None:
        """Raises PromptgraftError for a model that is not causal or numbers its tokens itself."""
        if model.family != "causal" or not model.takes_prefixes or not model.numbered:
            raise PromptgraftError(
                f"{model.name} cannot write rows that come and go; that takes a causal model whose "
                "attention and positions are transformers' common ones."
            )
        self.model = model
        self.layers: list[_Layer] = []
        self.left = self.right = 0  # columns in use
        self.starts = torch.zeros(0, dtype=torch.long, device=model.device)  # [B] first column
        self.positions = torch.zeros(0, dtype=torch.long, device=model.device)  # [B] of the next
        self.prefixes = torch.zeros(0, dtype=torch.long, device=model.device)  # [B] columns of

    def __len__(self) -> int:
        """B, the rows in it."""
        return len(self.starts)

    @torch.no_grad()
    def admit(self, encoded: Sequence[Encoded], prompts: Prompts, reserve: int = 0) -> Tensor:
        """Read rows with their prompts and append them; returns the next tokens' logits, [n, V].

        reserve  tokens that may be written to a row (with sliding windows it must be known before)

        Raises what `FrozenModel` raises for prompts and rows that do not fit.
        """
        batch = self.model.collate(encoded, reserve=reserve)
        last = batch.mask.sum(1) - 1
        rows = torch.arange(len(batch), device=self.model.device)

        def newest(_layer: nn.Module, arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            return (arguments[0][rows, last],)

        with (
            self.model.attached(batch, prompts) as inputs,
            self.model.port.recording() as sites,
            self.model.hooked(newest),
        ):
            logits = self.model.model(**inputs, use_cache=False).logits
            prefix = self.model.port.sites.get("self")
            ends = inputs["position_ids"][rows, last] + 1
        text = sites["self"]
        lengths, prefixes = [], []
        remembered: list[list[tuple[Tensor, Tensor]]] = []
        for row in range(len(batch)):
            own = batch.mask[row]
            before = None if prefix is None else prefix.of_row(row, int(last[row]))
            pairs = []
            for layer, (keys, values) in enumerate(text):
                pair = torch.stack([keys[row][:, own], values[row][:, own]])  # [2, H_kv, T, d_head]
                if before is not None:
                    pair = torch.cat([before[layer].transpose(1, 2).to(pair.dtype), pair], dim=2)
                pairs.append((pair[0], pair[1]))
            remembered.append(pairs)
            lengths.append(pairs[0][0].shape[1])
            prefixes.append(0 if before is None else before.shape[2])
        self._append(remembered, lengths)
        self.positions = torch.cat([self.positions, ends])
        self.prefixes = torch.cat([self.prefixes, torch.tensor(prefixes, device=ends.device)])
        newest_logits: Tensor = logits
        return newest_logits.float()

    @torch.no_grad()
    def step(self, tokens: Tensor) -> Tensor:
        """Append a token [B] to every row; returns the logits of the next ones, [B, V]."""
        if self.right == self.layers[0].columns:
            self._move(self.right - self.left + ROOM, self.right - self.left)
        self.right += 1
        inputs = {
            "input_ids": tokens[:, None],
            "attention_mask": self._seen(),
            "position_ids": self.positions[:, None],
        }
        for layer in self.layers:
            layer.rows, layer.left, layer.right = len(self), self.left, self.right
        logits = self.model.model(
            **inputs, past_key_values=Cache(layers=list(self.layers)), use_cache=True
        ).logits
        self.positions += 1
        newest: Tensor = logits[:, -1].float()
        return newest

    def drop(self, row: int) -> None:
        """Take a row out; the last row moves into its place."""
        last = len(self) - 1
        if row != last:
            for layer in self.layers:
                layer.keys[row] = layer.keys[last]
                layer.values[row] = layer.values[last]
            for numbers in (self.starts, self.positions, self.prefixes):
                numbers[row] = numbers[last].clone()
        self.starts, self.positions = self.starts[:last], self.positions[:last]
        self.prefixes = self.prefixes[:last]
        self.left = int(self.starts.min()) if last else self.right

    def _seen(self) -> Any:
        """Which columns the newest token of each row sees, as transformers takes it: [B, columns],
        or what goes unchanged to layers with sliding windows, which end before no prefix."""
        columns = torch.arange(self.left, self.right, device=self.model.device)
        seen = columns >= self.starts[:, None]
        window = self.model.geometry.window
        if window is None:
            return seen.long()
        near = columns >= self.right - window
        prefix = columns < (self.starts + self.prefixes)[:, None]
        windowed = (seen & (near | prefix))[:, None, None]
        kinds = set(getattr(self.model.model.config, "layer_types", None) or ())
        if len(kinds) < 2:
            return windowed
        return {"full_attention": seen[:, None, None], "sliding_attention": windowed}

    def _append(
        self, remembered: Sequence[Sequence[tuple[Tensor, Tensor]]], lengths: Sequence[int]
    ) -> None:
        """Put the keys and values of new rows against the right edge."""
        count = len(self)
        if not self.layers:
            self.layers = [_Layer(keys) for keys, _ in remembered[0]]
        width = max(*lengths, self.right - self.left if count else 0)
        if width > self.right or count == 0:
            self._move(width + ROOM, width)
        for layer in self.layers:
            layer.hold(count + len(remembered))
        for number, pairs in enumerate(remembered):
            own = slice(self.right - lengths[number], self.right)
            for layer, (keys, values) in zip(self.layers, pairs, strict=True):
                layer.keys[count + number, :, own] = keys
                layer.values[count + number, :, own] = values
        starts = self.right - torch.tensor(lengths, device=self.model.device)
        self.starts = torch.cat([self.starts, starts])
        self.left = int(self.starts.min())

    def _move(self, columns: int, edge: int) -> None:
        """Give every row so many columns and put the right edge at `edge`."""
        kept = slice(self.left, self.right)
        for layer in self.layers:
            layer.resize(columns, kept, edge)
        self.starts += edge - self.right
        self.left, self.right = self.left + edge - self.right, edge


class _Layer(CacheLayerMixin):  # type: ignore[no-untyped-call]
    """One layer's keys and values, [rows, H_kv, columns, d_head]; the model sees those in use."""

    is_sliding = False
    keys: Tensor
    values: Tensor

    def __init__(self, like: Tensor) -> None:
        """like  [H_kv, T, d_head]"""
        super().__init__()  # type: ignore[no-untyped-call]
        heads, _, size = like.shape
        self.keys = like.new_zeros(0, heads, 0, size)
        self.values = like.new_zeros(0, heads, 0, size)
        self.rows = self.left = self.right = 0
        self.is_initialized = True

    @property
    def columns(self) -> int:
        return self.keys.shape[2]

    def hold(self, rows: int) -> None:
        """Make room for so many rows."""
        if rows > len(self.keys):
            more = max(rows, 2 * len(self.keys)) - len(self.keys)
            self.keys, self.values = (
                torch.cat([t, t.new_zeros(more, *t.shape[1:])]) for t in (self.keys, self.values)
            )

    def resize(self, columns: int, kept: slice, edge: int) -> None:
        """So many columns, those kept ending at the edge."""
        pair = []
        for old in (self.keys, self.values):
            new = old.new_zeros(*old.shape[:2], columns, old.shape[3])
            width = kept.stop - kept.start
            new[:, :, edge - width : edge] = old[:, :, kept]
            pair.append(new)
        self.keys, self.values = pair

    def update(
        self, key_states: Tensor, value_states: Tensor, *_: object, **__: object
    ) -> tuple[Tensor, Tensor]:
        """Write the newest column [B, H_kv, 1, d_head]; returns all columns in use."""
        self.keys[: self.rows, :, self.right - 1 : self.right] = key_states
        self.values[: self.rows, :, self.right - 1 : self.right] = value_states
        seen = slice(self.left, self.right)
        return self.keys[: self.rows, :, seen], self.values[: self.rows, :, seen]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.right - self.left, 0

    def get_seq_length(self) -> int:
        return self.right - self.left - 1

    def get_max_length(self) -> int:
        return -1

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Storage is made when the first rows join."""
