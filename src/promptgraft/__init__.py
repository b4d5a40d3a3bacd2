"""Continuous prompts of frozen language models: tune, keep, move and serve them."""

__version__ = "0.1.0"
