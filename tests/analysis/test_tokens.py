"""Virtual tokens in words."""

import pytest
import torch

from conftest import tiny
from promptgraft.analysis.tokens import nearest_tokens
from promptgraft.errors import PromptgraftError, WrongModelError
from promptgraft.prompts import Prefix, PromptCard, SoftPrompt


def soft_prompt(model, vectors):
    card = PromptCard(kind="soft-prompt", length=len(vectors), base=model.reference)
    return SoftPrompt(vectors, card)


def test_embeddings_of_tokens_are_nearest_to_themselves():
    model = tiny("bert")
    words = ["film", "great", "story"]
    ids = torch.tensor(list(model.single_tokens(words).values()))
    found = nearest_tokens(model, soft_prompt(model, 3 * model.embed(ids)), count=2)
    assert [near[0][0] for near in found] == words
    assert [near[0][1] for near in found] == pytest.approx([1.0] * 3, abs=1e-4)
    assert all(near[0][1] >= near[1][1] for near in found)


def test_cosines_against_a_loop_over_the_vocabulary():
    model = tiny("gpt2")
    vector = torch.randn(model.embedding_size)
    (found,) = nearest_tokens(model, soft_prompt(model, vector[None]), count=3)
    special = set(model.tokenizer.all_special_ids)
    cosines = [
        torch.cosine_similarity(vector, model.embed(torch.tensor(token)), dim=0).item()
        for token in range(len(model.tokenizer))
        if token not in special
    ]
    best = sorted(cosines, reverse=True)[:3]
    assert [cosine for _, cosine in found] == pytest.approx(best, abs=1e-5)


def test_prompts_that_have_no_place_among_the_tokens():
    model, other = tiny("bert"), tiny("gpt2")
    with pytest.raises(WrongModelError):
        nearest_tokens(other, soft_prompt(model, torch.randn(2, model.embedding_size)))
    card = PromptCard(kind="prefix", length=2, base=other.reference)
    with pytest.raises(PromptgraftError, match="is a prefix"):
        nearest_tokens(other, Prefix({"self": torch.randn(3, 2, 2, 4, 4)}, card))
