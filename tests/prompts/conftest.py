"""Prompts to test with."""

from collections.abc import Callable

import pytest
import torch

from promptgraft.prompts import ModelReference, Prefix, PromptCard, SoftPrompt

D, L, HEADS, WIDTH = 6, 3, 2, 4
BASES = {
    family: ModelReference(
        name=f"mini/{family}",
        revision="r1",
        fingerprint="ab12",
        tokenizer_hash="cd34",
        family=family,
        embedding_size=D,
    )
    for family in ("causal", "seq2seq", "masked")
}


@pytest.fixture
def card() -> Callable[..., PromptCard]:
    def make(kind: str, length: int, family: str = "causal", **fields) -> PromptCard:
        return PromptCard(kind=kind, length=length, base=BASES[family], **fields)

    return make


@pytest.fixture
def soft(card) -> Callable[..., SoftPrompt]:
    """A soft prompt of `length` virtual tokens with numbers that depend on `draw`."""

    def make(length: int = 5, draw: int = 0, **fields) -> SoftPrompt:
        numbers = torch.randn(length, D, generator=torch.Generator().manual_seed(draw))
        return SoftPrompt(numbers, card("soft-prompt", length, **fields))

    return make


@pytest.fixture
def prefix(card) -> Callable[..., Prefix]:
    """A prefix for all three sites of a sequence-to-sequence model."""

    def make(length: int = 5, draw: int = 0, **fields) -> Prefix:
        generator = torch.Generator().manual_seed(draw)
        sites = {
            "encoder": torch.randn(L, 2, length, HEADS, WIDTH, generator=generator),
            "decoder": torch.randn(L - 1, 2, length, HEADS, WIDTH, generator=generator),
            "cross": torch.randn(L - 1, 2, length, HEADS, WIDTH, generator=generator),
        }
        return Prefix(sites, card("prefix", length, "seq2seq", **fields))

    return make


@pytest.fixture(params=["soft", "prefix"])
def make(request, soft, prefix) -> Callable[..., SoftPrompt | Prefix]:
    """Both kinds in turn."""
    return {"soft": soft, "prefix": prefix}[request.param]
