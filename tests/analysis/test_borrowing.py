"""What was borrowed: CrossPT's Eq. 2-4 as loops, the files, what each method says."""

import csv
import json

import pytest
import torch

from conftest import tiny
from pools import LENGTH, a_batch, build, card_for
from promptgraft.analysis.borrowing import Borrowing, borrowing_of, drawn, write
from promptgraft.transfer.across_tasks import AdaptivePrompt

TASKS = ("a", "b")
PNG = b"\x89PNG"


def cos(one, other):
    return float(one @ other / (one.norm() * other.norm()))


def a_module(method="crosspt", **settings):
    module = build(method, tiny("t5"), tasks=TASKS, **settings)
    for parameter in module.parameters():
        parameter.data.add_(0.3 * torch.randn_like(parameter))
    return module


def test_the_metrics_as_loops():
    module = a_module(encoder="none", configuration="SILP")
    found = borrowing_of(module)
    targets = [tensors["input"].detach() for tensors in module.each()]
    sources = [*module.shared()["input"].detach()]
    for task, target in enumerate(targets):
        mixed = [*sources, module.private()["input"][task].detach()]
        for column, prompt in enumerate(mixed):
            expected = cos(target.mean(0), prompt.mean(0))
            assert found.cosines[task, column].item() == pytest.approx(expected, abs=1e-5)
        reliance = sum(
            float(found.weights[task, s]) * cos(target.mean(0), sources[s].mean(0))
            for s in range(len(sources))
        )
        assert found.reliance()[task].item() == pytest.approx(reliance, abs=1e-5)
        for second, other in enumerate(targets):
            expected = sum(cos(target[p], other[p]) for p in range(LENGTH)) / LENGTH
            assert found.between[task, second].item() == pytest.approx(expected, abs=1e-5)


def test_one_shared_source_is_all_there_is():
    """SL relies on its source wholly (the paper's 100), P on none."""
    assert torch.allclose(borrowing_of(a_module(configuration="SL")).reliance(), torch.ones(2))
    assert not borrowing_of(a_module(configuration="P")).reliance().any()


def test_the_files_hold_the_numbers(tmp_path):
    found = borrowing_of(a_module())
    write(found, tmp_path)
    with (tmp_path / "borrowed.csv").open() as stream:
        lines = list(csv.DictReader(stream))
    assert [line["prompt"] for line in lines[:4]] == [*found.columns]
    assert float(lines[5]["weight"]) == pytest.approx(found.weights[1, 1].item(), abs=1e-6)
    assert float(lines[5]["cosine"]) == pytest.approx(found.cosines[1, 1].item(), abs=1e-6)
    assert (tmp_path / "borrowed.png").read_bytes().startswith(PNG)
    with (tmp_path / "reliance.csv").open() as stream:
        relied = [float(line["weighted similarity"]) for line in csv.DictReader(stream)]
    assert relied == pytest.approx(found.reliance().tolist(), abs=1e-6)
    with (tmp_path / "between.csv").open() as stream:
        pairs = {(line["task"], line["other task"]): line for line in csv.DictReader(stream)}
    assert float(pairs["a", "b"]["cosine"]) == pytest.approx(found.between[0, 1].item(), abs=1e-6)
    shares = found.shares()["b"]
    assert list(shares.values()) == sorted(shares.values(), reverse=True)
    assert sum(shares.values()) == pytest.approx(1, abs=1e-5)


def test_what_is_kept_as_json_is_what_it_was():
    found = borrowing_of(a_module())
    again = Borrowing.from_numbers(json.loads(json.dumps(found.numbers())))
    assert torch.equal(again.between, found.between)
    assert torch.equal(again.reliance(), found.reliance())
    assert again.shares() == found.shares()


def test_runs_below_each_other_each_under_its_title():
    found = {name: borrowing_of(a_module(configuration=name)) for name in ("SL", "SILP")}
    one, other = drawn(found, between=True).subfigs
    assert [part.get_suptitle() for part in (one, other)] == ["SL", "SILP"]
    assert [len(part.axes) for part in (one, other)] == [3, 3]
    assert other.axes[0].images[0].get_array().shape == found["SILP"].weights.shape


@pytest.mark.parametrize("method", ["spot", "ptg", "attempt", "mpt", "dept"])
def test_every_method_says_what_it_borrowed_or_that_it_has_no_weights(method, tmp_path):
    module = build(method, tiny("t5"))
    found = borrowing_of(module)
    if method in ("mpt", "dept"):
        assert found is None
        return
    write(found, tmp_path)
    assert found.weights.shape == found.cosines.shape == (1, len(found.columns))
    assert found.weights.sum().item() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("method", ["ptg", "attempt"])
def test_the_attention_of_a_row_is_what_its_prompt_is_mixed_with(method):
    model = tiny("gpt2")
    module = build(method, model, **({"heads": 1} if method == "ptg" else {"temperature": 9.0}))
    value = AdaptivePrompt(module, card_for(module, model))
    batch = a_batch(model, value)
    columns, weights = value.attention(batch)
    prompts = module.borrowed().prompts[0]
    assert weights.shape == (3, len(columns))
    assert not torch.allclose(weights[0], weights[1], atol=1e-4)
    mixed = torch.einsum("bc,cpd->bpd", weights, prompts)
    if method == "attempt":
        mixed = mixed + module.targets["input"]
    torch.testing.assert_close(value(batch)["input"], mixed, rtol=1e-4, atol=1e-5)
