"""Padding, heads and counts of a batch."""

from dataclasses import replace

import torch

from promptgraft.models.batch import IGNORED, Batch, Encoded, collate

PAD = 9
SHORT = Encoded(tokens=[-1, -2, 3], labels=[IGNORED, IGNORED, 7], head=2, virtual=2, cut=1)
LONG = Encoded(tokens=[-1, -2, 3, 4, 5], labels=[IGNORED] * 4 + [8], head=2, virtual=2, cut=3)
OTHER = Encoded(tokens=[6, -1, 3, 4], labels=[IGNORED] * 4, head=2, virtual=1)
BARE = Encoded(tokens=[5, 4], labels=[IGNORED, 3])


def test_heads_are_taken_off():
    batch = collate([SHORT, LONG], PAD)
    assert [head.tolist() for head in batch.heads] == [[-1, -2]]
    assert batch.head_of == (0, 0)
    assert batch.tokens.tolist() == [[3, PAD, PAD], [3, 4, 5]]
    assert batch.mask.tolist() == [[True, False, False], [True] * 3]
    assert batch.labels.tolist() == [[7, IGNORED, IGNORED], [IGNORED, IGNORED, 8]]
    assert (batch.virtual, batch.cut, len(batch)) == (2, 4, 2)


def test_or_left_on():
    batch = collate([SHORT, LONG], PAD, split=False)
    assert batch.heads == ()
    assert batch.head_of == ()
    assert batch.tokens.tolist() == [[-1, -2, 3, PAD, PAD], [-1, -2, 3, 4, 5]]


def test_rows_with_different_heads_and_none():
    batch = collate([SHORT, OTHER, BARE, LONG], PAD)
    assert [head.tolist() for head in batch.heads] == [[-1, -2], [6, -1], []]
    assert batch.head_of == (0, 1, 2, 0)
    assert batch.tokens[2].tolist() == [5, 4, PAD]


def test_padding_on_the_left():
    batch = collate([SHORT, LONG], PAD, split=False, side="left")
    assert batch.tokens.tolist() == [[PAD, PAD, -1, -2, 3], [-1, -2, 3, 4, 5]]
    assert batch.mask[0].tolist() == [False, False, True, True, True]
    assert batch.labels[0].tolist() == [IGNORED] * 4 + [7]


def test_the_place_of_a_prefix_moves_with_the_padding():
    rows = [Encoded([1, 2, 3], [IGNORED] * 3, prefix_at=2), BARE]
    assert collate(rows, PAD).prefix_at.tolist() == [2, 0]
    rows = [Encoded([1, 2], [IGNORED] * 2, prefix_at=1), Encoded([1, 2, 3], [IGNORED] * 3), BARE]
    assert collate(rows, PAD, side="left").prefix_at.tolist() == [2, 0, 0]
    assert collate([BARE], PAD).prefix_at is None


def test_an_encoder_is_padded_on_the_right_and_its_decoder_where_asked():
    rows = [
        Encoded([1, 2], [], decoder_tokens=[0], decoder_labels=[5]),
        Encoded([1], [], decoder_tokens=[0, 5], decoder_labels=[5, 6]),
    ]
    batch = collate(rows, PAD, side="left")
    assert batch.tokens.tolist() == [[1, 2], [1, PAD]]
    assert batch.decoder_tokens.tolist() == [[PAD, 0], [0, 5]]
    assert batch.decoder_mask.tolist() == [[False, True], [True, True]]
    assert batch.labels.tolist() == [[IGNORED, 5], [5, 6]]


def test_moving_takes_everything_along():
    batch = collate([SHORT, OTHER], PAD)
    moved = batch.to(torch.device("meta"))
    assert isinstance(moved, Batch)
    assert {t.device.type for t in (moved.tokens, moved.mask, moved.labels, *moved.heads)} == {
        "meta"
    }
    assert (moved.head_of, moved.virtual, moved.cut) == (batch.head_of, batch.virtual, batch.cut)


def test_some_rows_alone():
    rows = [SHORT, OTHER, BARE, LONG]
    for row, task in enumerate("cdab"):
        rows[row] = replace(rows[row], task=ord(task), prefix_at=row)
    some = collate(rows, PAD).only([3, 1])
    assert some.tokens.tolist() == [[3, 4, 5], [3, 4, PAD]]
    assert [some.heads[head].tolist() for head in some.head_of] == [[-1, -2], [6, -1]]
    assert some.tasks == (ord("b"), ord("d"))
    assert some.prefix_at.tolist() == [3, 1]
    assert len(some.mask) == len(some.labels) == 2
    assert collate(rows, PAD, split=False).only([0]).head_of == ()
