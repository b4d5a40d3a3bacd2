"""Prompts as values: what they are, what is known about them, how they are stored.

Letters for shapes, here and in every other folder:

    B  batch              P  virtual tokens     T  text tokens
    D  embedding size     L  layers             H  heads
    S  source prompts     K  anchors            V  vocabulary
"""

from promptgraft.prompts.card import ModelReference, Parent, PromptCard, now
from promptgraft.prompts.storage import ModuleState, load, load_card, load_module_state, save
from promptgraft.prompts.values import Prefix, Prompt, SoftPrompt, concat, mix

__all__ = [
    "ModelReference",
    "ModuleState",
    "Parent",
    "Prefix",
    "Prompt",
    "PromptCard",
    "SoftPrompt",
    "concat",
    "load",
    "load_card",
    "load_module_state",
    "mix",
    "now",
    "save",
]
