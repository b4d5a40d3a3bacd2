"""Prompts stored in fewer bytes come back as what rounding makes of them, and say how far off."""

import json

import numpy as np
import pytest
import torch

from promptgraft.errors import BadFileError, PromptgraftError
from promptgraft.prompts import (
    SoftPrompt,
    encode,
    load,
    load_content_hash,
    rounded,
    rounding_error,
    save,
    write,
)

BYTES = {"float32": 4, "float16": 2, "bfloat16": 2, "int8": 1}
STEP = {"float16": 2**-11, "bfloat16": 2**-8, "int8": 1 / 254}  # half a step, of the largest


@pytest.mark.parametrize("precision", BYTES)
def test_what_is_read_is_the_rounded_prompt(tmp_path, make, precision):
    prompt = make()
    save(prompt, tmp_path, precision=precision)
    back = load(tmp_path)
    assert back == rounded(prompt, precision)
    assert back.card == prompt.card
    assert load_content_hash(tmp_path) == back.content_hash
    assert (back == prompt) == (precision == "float32")


@pytest.mark.parametrize("precision", STEP)
def test_the_error_is_at_most_half_a_step_of_each_vectors_largest_number(make, precision):
    prompt = make()
    for name, tensor in prompt.tensors().items():
        off = (tensor - rounded(prompt, precision).tensors()[name]).abs()
        limit = STEP[precision] * tensor.abs().amax(-1, keepdim=True)
        assert (off <= limit * (1 + 1e-5)).all()


def test_int8_is_the_nearest_multiple_of_the_scale(soft):
    """A literal slow version."""
    vectors = soft().vectors
    vectors[2] = 0
    prompt = SoftPrompt(vectors, soft().card)
    expected = []
    for row in vectors.numpy():
        scale = np.float32(max(abs(row)) / np.float32(127)) or np.float32(1)
        expected.append([np.float32(np.rint(number / scale)) * scale for number in row])
    assert torch.equal(rounded(prompt, "int8").vectors, torch.tensor(np.array(expected)))


@pytest.mark.parametrize("precision", BYTES)
def test_size_and_same_bytes(soft, precision):
    prompt = soft(200)
    contents = encode(prompt, precision=precision)
    assert contents == encode(soft(200), precision=precision)
    size = len(contents["prompt.safetensors"]) - prompt.vectors.numel() * BYTES[precision]
    assert 0 < size < 500 + (4 * 200 if precision == "int8" else 0)  # header, scales


def test_rounding_error(soft):
    one = SoftPrompt(torch.full((5, 6), 2.0), soft().card)
    vectors = one.vectors
    vectors[0, 0] = 2.5
    error = rounding_error(one, SoftPrompt(vectors, soft().card))
    assert error.largest == 0.5
    assert error.relative == pytest.approx(0.5 / (2 * 30**0.5))


def test_numbers_too_large_for_the_precision(tmp_path, soft):
    with pytest.raises(PromptgraftError, match="NaN or infinite"):
        save(SoftPrompt(soft().vectors * 1e6, soft().card), tmp_path / "x", precision="float16")
    assert not (tmp_path / "x").exists()
    with pytest.raises(PromptgraftError, match="no precision 'int4'"):
        save(soft(), tmp_path / "x", precision="int4")


def test_int8_without_scales_is_no_prompt(tmp_path, soft):
    import hashlib

    from safetensors.torch import load as read
    from safetensors.torch import save as dump

    contents = encode(soft(), precision="int8")
    header = contents["prompt.safetensors"]
    marks = json.loads(header[8 : 8 + int.from_bytes(header[:8], "little")])["__metadata__"]
    contents["prompt.safetensors"] = dump({"input": read(header)["input"]}, marks)
    card = json.loads(contents["prompt.json"])
    digest = hashlib.sha256(contents["prompt.safetensors"]).hexdigest()
    card["files"]["prompt.safetensors"] = digest
    write(contents | {"prompt.json": json.dumps(card).encode()}, tmp_path)
    with pytest.raises(BadFileError, match="no scales"):
        load(tmp_path)
