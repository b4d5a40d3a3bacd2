"""A tiny causal model and a library of prompts for it."""

import pytest

from conftest import tiny
from serving.libraries import filled


@pytest.fixture
def model():
    return tiny("gpt2")


@pytest.fixture
def library(model, tmp_path):
    return filled(model, tmp_path / "library")
