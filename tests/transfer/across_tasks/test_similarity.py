"""Similarities of prompts, each against its formula as a loop."""

import pytest
import torch

from promptgraft.transfer.across_tasks.similarity import SIMILARITIES

S, P, D = 4, 3, 5


def eq_1(one, other):
    total = 0.0
    for first in one:
        for second in other:
            total += sum(
                (float(a) - float(b)) ** 2 for a, b in zip(first, second, strict=True)
            ) ** (0.5)
    return 1 / (1 + total / len(one) ** 2)


def cos(one, other):
    dot = sum(float(a) * float(b) for a, b in zip(one, other, strict=True))
    return dot / (float(one.norm()) * float(other.norm()))


LITERAL = {
    "euclidean": eq_1,
    "normalised": lambda one, other: eq_1(
        torch.stack([v / v.norm() for v in one]), torch.stack([v / v.norm() for v in other])
    ),
    "cosine": lambda one, other: cos(sum(one) / len(one), sum(other) / len(other)),
    "tokens": lambda one, other: sum(map(cos, one, other)) / len(one),
}


@pytest.mark.parametrize("name", LITERAL)
def test_each_is_its_formula(name):
    prompts = torch.randn(S, P, D) * torch.arange(1, S + 1)[:, None, None]
    expected = torch.tensor([[LITERAL[name](a, b) for b in prompts] for a in prompts])
    torch.testing.assert_close(SIMILARITIES[name](prompts, prompts), expected)
    torch.testing.assert_close(SIMILARITIES[name](prompts, prompts[:2]), expected[:, :2])


def test_norms_decide_in_the_published_one_alone():
    """Two prompts of one direction and different size, and one of another direction."""
    small, other = torch.randn(1, P, D), torch.randn(1, P, D)
    prompts = torch.cat([small, 50 * small, other])
    assert SIMILARITIES["euclidean"](prompts, prompts)[0].argsort()[0] == 1
    for name in ("normalised", "cosine", "tokens"):
        assert (
            SIMILARITIES[name](prompts, prompts)[0, 1] > SIMILARITIES[name](prompts, prompts)[0, 2]
        )
