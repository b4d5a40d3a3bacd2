"""Keys and values by column: what `Slots` does not show from outside."""

import torch

from promptgraft.models.columns import ROOM, Columns

LAYERS, HEADS, SIZE = 2, 3, 4


def row(length: int, value: float) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Keys of `value` and values of its negative, in every layer."""
    keys = torch.full((HEADS, length, SIZE), value)
    return [(keys, -keys)] * LAYERS


def held(columns: Columns) -> tuple[torch.Tensor, torch.Tensor]:
    """The keys of the first layer, and which of them count."""
    columns.cache()
    return columns.layers[0].keys, columns.seen()


def test_storage_is_kept_where_all_rows_have_gone():
    columns = Columns(torch.device("cpu"))
    columns.append([row(5, 1.0), row(2, 2.0)])
    for _ in range(3):
        columns.advance()
    there = columns.layers[0].store
    columns.drop(1)
    columns.drop(0)
    columns.append([row(4, 3.0)])
    assert columns.layers[0].store is there
    keys, seen = held(columns)
    assert keys.shape == (1, HEADS, 4, SIZE)
    assert (keys == 3.0).all()
    assert seen.all()


def test_nothing_of_the_rows_before_is_left_beside_new_ones():
    columns = Columns(torch.device("cpu"))
    columns.append([row(6, float("nan"))])
    columns.drop(0)
    columns.append([row(6, 1.0), row(2, 2.0)])
    keys, seen = held(columns)
    assert keys.isfinite().all()
    assert (keys[1][:, ~seen[1]] == 0.0).all()


def test_storage_of_a_much_longer_row_is_given_back():
    columns = Columns(torch.device("cpu"))
    columns.append([row(40 * ROOM, 1.0)])
    columns.drop(0)
    columns.append([row(5, 2.0)])
    assert columns.layers[0].store.shape[3] == 5 + ROOM
    assert (held(columns)[0] == 2.0).all()
