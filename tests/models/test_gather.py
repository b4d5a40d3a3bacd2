"""Prompts of any form and length, brought together for a batch."""

import pytest
import torch

from promptgraft.errors import PromptgraftError
from promptgraft.models.batch import IGNORED, Encoded, collate
from promptgraft.models.gather import (
    emitted,
    gather,
    length_of,
    merge_sites,
    merge_vectors,
    pick,
)
from promptgraft.models.port import SitePrefix, rows

CPU = torch.device("cpu")
L, H, D_HEAD, D = 2, 3, 4, 5


def test_equal_prompts_are_gathered_once():
    one, other = torch.randn(2, D), torch.randn(3, D)
    found = gather([one, None, other, one], 4, CPU)
    assert found.of == [0, 1, 2, 0]
    assert len(found.tensors) == 3
    assert gather(one, 4, CPU).index(4) == [0, 0, 0, 0]
    with pytest.raises(PromptgraftError, match="1 prompts for 2 rows"):
        gather([one], 2, CPU)


def test_soft_prompts_of_different_lengths():
    one, other = torch.randn(1, 2, D), torch.randn(3, 3, D)  # for all rows, and one a row
    merged = merge_vectors([one, None, other], [2, 0, 2, 1])
    assert merged.shape == (4, 3, D)
    assert torch.equal(merged[0], other[0])
    assert torch.equal(merged[1, :2], one[0])
    assert torch.equal(merged[2], other[2])
    assert not merged[3].any()
    assert merge_vectors([None, None], [0, 1]) is None


def test_prefixes_of_different_lengths_are_padded_on_the_left():
    long, short = torch.randn(1, L, 2, 3, H, D_HEAD), torch.randn(1, L, 2, 1, H, D_HEAD)
    merged = merge_sites([{"self": short}, {}, {"self": long}], [2, 0, 1])["self"]
    assert merged.visible.tolist() == [[True] * 3, [False, False, True], [False] * 3]
    assert torch.equal(merged.tensor[0], long[0])
    assert torch.equal(merged.tensor[1, :, :, 2:], short[0])
    assert merge_sites([{"self": long}, {"self": long + 1}], [0, 1])["self"].visible is None
    assert merge_sites([{}, {}], [0, 1]) == {}


def test_a_prefix_seen_from_a_place_on():
    tensor = torch.randn(1, L, 2, 2, H, D_HEAD)
    visible = torch.tensor([[False, True], [True, True]])
    seen = SitePrefix(tensor, visible).seen_from(torch.tensor([0, 2]), 3).visible
    assert seen.int().tolist() == [[[0, 1]] * 3, [[0, 0], [0, 0], [1, 1]]]
    seen = SitePrefix(tensor).seen_from(torch.tensor([1]), 2).visible
    assert seen.int().tolist() == [[[0, 0], [1, 1]]]


def test_rows_are_for_all_for_each_or_for_the_beams_of_each():
    tensor = torch.arange(2)
    assert rows(tensor, 2).tolist() == [0, 1]
    assert rows(tensor, 6).tolist() == [0, 0, 0, 1, 1, 1]
    assert rows(tensor[:1], 3).tolist() == [0, 0, 0]


def test_picking_rows():
    per_row, for_all = torch.randn(4, 2, D), torch.randn(2, D)
    site = torch.randn(4, L, 2, 2, H, D_HEAD)
    assert torch.equal(pick(per_row, [3, 1]), per_row[[3, 1]])
    assert pick(for_all, [3, 1]) is for_all
    assert pick(None, [3]) is None
    assert pick(["a", "b", "c"], [2, 0]) == ["c", "a"]
    picked = pick({"input": for_all, "self": site}, [2])
    assert picked["input"] is for_all
    assert torch.equal(picked["self"], site[[2]])


def test_lengths():
    assert length_of(torch.zeros(7, D)) == length_of(torch.zeros(2, 7, D)) == 7
    assert length_of({"self": torch.zeros(L, 2, 7, H, D_HEAD)}) == length_of(None) == 0


def test_what_looks_at_the_batch_is_asked_once_for_its_own_rows():
    asked = []

    def own_sums(batch=None):
        """A prompt of what its row's tokens add up to."""
        asked.append(None if batch is None else batch.tokens.tolist())
        sums = torch.zeros(1, 1) if batch is None else batch.tokens.sum(1)[:, None].float()
        return {"input": sums[:, :, None].expand(-1, 2, D)}

    def one_a_row(batch=None):
        return [{"input": torch.full((1, D), float(number))} for number in range(2)]

    def one_for_all(batch=None):
        return {"input": torch.ones(2, D)}

    plain = torch.randn(1, D)
    batch = collate([Encoded([number, 1], [IGNORED] * 2) for number in range(4)], pad=0)
    assert emitted(plain, batch) is plain
    assert emitted([plain, None], batch) == [plain, None]
    found = emitted([own_sums, plain, own_sums, one_a_row], batch)
    assert asked == [[[0, 1], [2, 1]]]
    assert torch.equal(found[0]["input"], torch.full((1, 2, D), 1.0))
    assert torch.equal(found[2]["input"], torch.full((1, 2, D), 3.0))
    assert found[1] is plain
    assert emitted([None, None, one_a_row, one_a_row], batch)[3]["input"][0, 0] == 1
    alike = emitted([one_for_all, None, one_for_all, None], batch)
    assert alike[0] is alike[2]  # it is compiled once
    assert length_of(own_sums) == 2
