"""Prompt modules and what they start from."""

from promptgraft.modules import direct, reparameterised  # they register themselves
from promptgraft.modules.initialisers import INITIALISERS, Initialiser
from promptgraft.modules.layout import Kind, Layout, layout
from promptgraft.modules.module import MODULES, PromptModule, Start, build, value_of

__all__ = [
    "INITIALISERS",
    "MODULES",
    "Initialiser",
    "Kind",
    "Layout",
    "PromptModule",
    "Start",
    "build",
    "direct",
    "layout",
    "reparameterised",
    "value_of",
]
