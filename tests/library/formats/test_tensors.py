"""Bare numbers become soft prompts of a model that is at hand, or of one that is not."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from conftest import tiny
from promptgraft.errors import BadFileError, PromptgraftError, WrongModelError
from promptgraft.library.formats import base_of, tensors

DATA = Path(os.environ.get("PROMPTGRAFT_DATA", ".")).parent / "prompts"
FAMILIES = {
    "t5-base": "seq2seq",
    "google/flan-t5-small": "seq2seq",
    "facebook/bart-large": "seq2seq",
    "roberta-base": "masked",
    "bert-base-cased": "masked",
    "albert-base-v2": "masked",
    "FacebookAI/xlm-roberta-base": "masked",
    "gpt2": "causal",
    "openai-community/gpt2-medium": "causal",
    "meta-llama/Llama-3.2-1B": "causal",
    "Qwen/Qwen2-0.5B": "causal",
}


def test_safetensors_one_key_or_all(tmp_path):
    file = tmp_path / "prompts.safetensors"
    stored = {"mnli": torch.randn(4, 6).half(), "sst2": torch.randn(3, 6)}
    save_file(stored, file)
    found = tensors.read(file)
    assert found.keys() == stored.keys()
    assert all(torch.equal(found[key], stored[key].float()) for key in stored)
    assert tensors.read(file, "sst2").keys() == {"sst2"}
    with pytest.raises(PromptgraftError, match=r"no tensor 'mnl'. Did you mean 'mnli'\? It has"):
        tensors.read(file, "mnl")


@pytest.mark.parametrize("kind", ["<f4", ">f8", "<f2"])
def test_npy(tmp_path, kind):
    numbers = np.linspace(-1, 1, 60).reshape(10, 6).astype(kind)
    np.save(tmp_path / "P1001.npy", numbers)
    found = tensors.read(tmp_path / "P1001.npy")
    assert torch.equal(found["P1001"], torch.tensor(numbers.astype("f4")))


def test_what_is_no_prompt(tmp_path):
    np.save(tmp_path / "objects.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    np.save(tmp_path / "whole.npy", np.ones((2, 3), int))
    np.save(tmp_path / "cube.npy", np.ones((2, 3, 4)))
    (tmp_path / "noise.safetensors").write_bytes(b"noise" * 10)
    (tmp_path / "cut.npy").write_bytes((tmp_path / "cube.npy").read_bytes()[:90])
    (tmp_path / "hidden.safetensors").write_bytes(pickle.dumps([1]))
    torch.save(torch.ones(2, 3), tmp_path / "prompt.pt")
    reasons = {
        "objects.npy": "never opened",
        "whole.npy": "int64 of shape \\[2, 3\\]; a soft prompt is floating",
        "cube.npy": "\\[2, 3, 4\\]",
        "noise.safetensors": "damaged",
        "cut.npy": "damaged",
        "hidden.safetensors": "a pickle, which is never opened",
        "prompt.pt": "a pickle, which is never opened",
        "absent.npy": "no such file",
    }
    for name, reason in reasons.items():
        with pytest.raises(PromptgraftError, match=reason):
            tensors.read(tmp_path / name)
    with pytest.raises(BadFileError):
        tensors.read(tmp_path / "hidden.safetensors")


@pytest.mark.parametrize(("name", "family"), FAMILIES.items())
def test_families_by_name(name, family):
    base = base_of(name, 8)
    assert (base.family, base.embedding_size, base.fingerprint) == (family, 8, None)


def test_a_name_that_does_not_tell():
    with pytest.raises(PromptgraftError, match="family causal, seq2seq or masked"):
        base_of("acme/one", 8)
    assert base_of("acme/one", 8, "causal").family == "causal"


def test_a_prompt_without_a_checked_model_fits_by_name_family_and_size():
    model = tiny("bert")  # its name is tiny/bert
    size = model.embedding_size

    def made(name: str, size: int = size, family: str = "masked"):
        base = base_of(name, size, family)
        return tensors.soft_prompt(torch.ones(3, size), base, "t", "a file", None)

    model.check(made("tiny/bert"))
    model.check(made("elsewhere/bert"))
    for other in (made("tiny/roberta"), made("tiny/bert", 7), made("tiny/bert", family="causal")):
        with pytest.raises(WrongModelError):
            model.check(other)
    with pytest.raises(PromptgraftError, match=r"tiny/bert takes 16"):
        base_of(model, 7)


@pytest.mark.skipif(not DATA.is_dir(), reason="real prompts are not here")
@pytest.mark.parametrize(("model", "count"), [("t5-base", 17), ("roberta-base", 14)])
def test_real_prompts(model, count):
    found = tensors.read(DATA / f"{model}.safetensors")
    assert len(found) == count
    for vectors in found.values():
        prompt = tensors.soft_prompt(vectors, base_of(model, 768), "t", "a file", None)
        assert prompt.vectors.shape == (100, 768)
