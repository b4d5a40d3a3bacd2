"""What a model remembers of rows that come and go: their keys and values, by column.

They lie against a common right edge, so that every step writes one column for all rows and a row
that joins only needs its own numbers put there:

    row 0   . . . p p t t t t      p: what its prompt came to (once), t: its text so far
    row 1   . . . . . . . p t      .: not seen
    row 2   p p p p p t t t t
                        edge ^     the next token of all of them goes here
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin

Pairs = Sequence[tuple[Tensor, Tensor]]
"""A row's keys and values, each [H_kv, T, d_head], layer for layer."""

ROOM = 64  # columns that storage grows by, at least


class Columns:
    """The keys and values of B rows at one attention site."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.layers: list[_Layer] = []
        self.left = self.right = 0  # columns in use
        self.starts = torch.zeros(0, dtype=torch.long, device=device)  # [B] first column of each

    def __len__(self) -> int:
        """B."""
        return len(self.starts)

    @property
    def width(self) -> int:
        """Columns in use."""
        return self.right - self.left

    def append(self, rows: Sequence[Pairs]) -> None:
        """Put the keys and values of new rows against the right edge."""
        count = len(self)
        if not self.layers:
            self.layers = [_Layer(keys) for keys, _ in rows[0]]
        lengths = [pairs[0][0].shape[1] for pairs in rows]
        width = max(*lengths, self.width if count else 0)
        if count == 0:
            self._begin(width)
        elif width > self.right:
            self._move(width + ROOM, width)
        for layer in self.layers:
            layer.hold(count + len(rows))
        for number, (pairs, length) in enumerate(zip(rows, lengths, strict=True), start=count):
            own = slice(self.right - length, self.right)
            for layer, (keys, values) in zip(self.layers, pairs, strict=True):
                # What a row before left there counts nothing, unless it is NaN: 0 * NaN is NaN.
                layer.store[:, number, :, : own.start] = 0
                layer.store[0, number, :, own] = keys
                layer.store[1, number, :, own] = values
        starts = self.right - torch.tensor(lengths, device=self.device)
        self.starts = torch.cat([self.starts, starts])
        self.left = int(self.starts.min())

    def advance(self) -> None:
        """Make room for one more column, which is in use from now on."""
        if self.right == self.layers[0].store.shape[3]:
            self._move(self.width + ROOM, self.width)
        self.right += 1

    def drop(self, row: int) -> None:
        """Take a row out; the last row moves into its place."""
        last = len(self) - 1
        if row != last:
            for layer in self.layers:
                layer.store[:, row] = layer.store[:, last]
        self.starts = without(self.starts, row)
        self.left = int(self.starts.min()) if last else self.right

    def places(self) -> Tensor:
        """The numbers of the columns in use."""
        return torch.arange(self.left, self.right, device=self.device)

    def seen(self) -> Tensor:
        """Which of the columns in use are the row's own: [B, columns] bool."""
        return self.places() >= self.starts[:, None]

    def cache(self) -> Cache:
        """The columns in use, as transformers takes them; an update writes the newest one."""
        for layer in self.layers:
            layer.show(len(self), self.left, self.right)
        return Cache(layers=list(self.layers))

    def _begin(self, width: int) -> None:
        """Begin with no rows and the edge behind `width` columns. Storage of about that size is
        kept, as fresh memory costs more than what is computed in it."""
        if width + ROOM <= self.layers[0].store.shape[3] <= 2 * (width + ROOM):
            self.left = self.right = width
        else:
            self._move(width + ROOM, width)

    def _move(self, columns: int, edge: int) -> None:
        """Give every row so many columns and put the right edge at `edge`."""
        for layer in self.layers:
            layer.resize(columns, slice(self.left, self.right), edge)
        self.starts += edge - self.right
        self.left, self.right = self.left + edge - self.right, edge


class _Layer(CacheLayerMixin):  # type: ignore[no-untyped-call]
    """One layer's storage; `keys` and `values` are the part of it that the model sees.

    store  [2, rows, H_kv, columns, d_head]
    """

    is_sliding = False
    keys: Tensor
    values: Tensor

    def __init__(self, like: Tensor) -> None:
        """like  [H_kv, T, d_head]"""
        super().__init__()  # type: ignore[no-untyped-call]
        heads, _, size = like.shape
        self.store = like.new_zeros(2, 0, heads, 0, size)
        self.is_initialized = True

    def hold(self, rows: int) -> None:
        """Make room for so many rows."""
        there = self.store.shape[1]
        if rows > there:
            more = max(rows, 2 * there) - there
            empty = self.store.new_zeros(2, more, *self.store.shape[2:])
            self.store = torch.cat([self.store, empty], dim=1)

    def resize(self, columns: int, kept: slice, edge: int) -> None:
        """So many columns, those kept ending at the edge."""
        old = self.store
        self.store = old.new_zeros(*old.shape[:3], columns, old.shape[4])
        start = edge - (kept.stop - kept.start)
        self.store[:, :, :, start:edge] = old[:, :, :, kept]

    def show(self, rows: int, left: int, right: int) -> None:
        """Let the model see these rows and columns."""
        self.keys, self.values = self.store[:, :rows, :, left:right].unbind(0)

    def update(
        self, key_states: Tensor, value_states: Tensor, *_: object, **__: object
    ) -> tuple[Tensor, Tensor]:
        """Write the newest column [B, H_kv, 1, d_head]; returns all that are seen."""
        self.keys[:, :, -1:] = key_states
        self.values[:, :, -1:] = value_states
        return self.keys, self.values

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.keys.shape[2], 0

    def get_seq_length(self) -> int:
        return self.keys.shape[2] - 1

    def get_max_length(self) -> int:
        return -1

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Storage is made when the first rows join."""


def without(numbers: Tensor, row: int) -> Tensor:
    """Numbers [B, ...] of rows when one leaves and the last takes its place: [B - 1, ...]."""
    numbers[row] = numbers[-1].clone()
    return numbers[:-1]
