"""Sizes read from configurations, against the tensors of the models themselves."""

import pytest
import torch
from transformers import (
    CamembertConfig,
    CLIPConfig,
    GPTNeoXConfig,
    MambaConfig,
    MistralConfig,
    Qwen2Config,
    RobertaConfig,
    T5Config,
)

from conftest import CAUSAL, MASKED, POSITIONS, SEQ2SEQ, tiny
from promptgraft.errors import PromptgraftError
from promptgraft.models.geometry import family_of, geometry_of


@pytest.mark.parametrize("kind", CAUSAL + SEQ2SEQ + MASKED)
def test_sites_are_the_keys_that_the_model_makes(kind: str):
    model = tiny(kind)
    found = model.activations(torch.tensor([7, 8, 9]))
    assert {s: (t.shape[0], *t.shape[-2:]) for s, t in found.items()} == model.geometry.sites
    assert all(t.shape[1:3] == (2, 3) for t in found.values())
    families = {"causal": CAUSAL, "seq2seq": SEQ2SEQ, "masked": MASKED}
    assert kind in families[model.family]


@pytest.mark.parametrize("kind", ["gpt2", "opt", "bart", "bert", "roberta", "albert"])
def test_as_many_tokens_as_the_model_has_positions_for(kind: str):
    model = tiny(kind)
    limit = model.geometry.positions
    assert limit == (POSITIONS - 2 if kind == "roberta" else POSITIONS)
    tokens = torch.full((1, limit), 7)
    inputs = {"input_ids": tokens}
    if kind == "bart":
        inputs["decoder_input_ids"] = tokens
    model.model(**inputs)
    with pytest.raises((IndexError, RuntimeError)):
        model.model(**{name: torch.full((1, limit + 1), 7) for name in inputs})


def test_positions_and_windows():
    assert geometry_of(T5Config()).positions is None
    assert geometry_of(CamembertConfig(max_position_embeddings=514)).positions == 512
    assert geometry_of(RobertaConfig(max_position_embeddings=514)).positions == 512
    assert geometry_of(GPTNeoXConfig(max_position_embeddings=2048)).positions == 2048
    assert geometry_of(MistralConfig(sliding_window=100)).window == 100
    assert geometry_of(MistralConfig(sliding_window=None)).window is None
    assert geometry_of(Qwen2Config(use_sliding_window=False, sliding_window=9)).window is None


def test_the_named_architecture_decides_over_the_type():
    assert family_of(RobertaConfig()) == "masked"
    assert family_of(RobertaConfig(architectures=["RobertaForCausalLM"])) == "causal"
    with pytest.raises(PromptgraftError, match=r"'clip'.* is neither causal"):
        family_of(CLIPConfig())
    with pytest.raises(PromptgraftError, match=r"mamba model has none of .* models with attention"):
        geometry_of(MambaConfig())
