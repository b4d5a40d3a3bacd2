"""Prompt modules and what they start from."""

from promptgraft.modules import direct, reparameterised  # they register themselves
from promptgraft.modules.initialisers import INITIALISERS, Initialiser
from promptgraft.modules.layout import Layout, layout
from promptgraft.modules.module import MODULES, PromptModule, Start, build, value_of
from promptgraft.modules.wording import Wording, as_slots
from promptgraft.prompts.card import Kind

__all__ = [
    "INITIALISERS",
    "MODULES",
    "Initialiser",
    "Kind",
    "Layout",
    "PromptModule",
    "Start",
    "Wording",
    "as_slots",
    "build",
    "direct",
    "layout",
    "reparameterised",
    "value_of",
]
