"""Prompts of other programs, and for them: PEFT's folders, raw tensors, requests to vLLM."""

from promptgraft.library.formats import peft, tensors, vllm
from promptgraft.library.formats.base import base_of

__all__ = ["base_of", "peft", "tensors", "vllm"]
