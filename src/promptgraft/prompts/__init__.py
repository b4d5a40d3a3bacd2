"""Prompts as values: what they are, what is known about them, how they are stored.

Letters for shapes, here and in every other folder:

    B  batch              P  virtual tokens     T  text tokens
    D  embedding size     L  layers             H  heads
    S  source prompts     K  anchors            V  vocabulary
"""

from promptgraft.prompts.card import ENSEMBLE, ModelReference, Parent, PromptCard, now
from promptgraft.prompts.ensemble import Ensemble
from promptgraft.prompts.precision import Precision, RoundingError, rounded, rounding_error
from promptgraft.prompts.storage import (
    FILES,
    ModuleState,
    encode,
    encode_again,
    load,
    load_card,
    load_content_hash,
    load_lone_card,
    load_module_state,
    save,
    write,
)
from promptgraft.prompts.values import Prefix, Prompt, SoftPrompt, concat, mix

__all__ = [
    "ENSEMBLE",
    "FILES",
    "Ensemble",
    "ModelReference",
    "ModuleState",
    "Parent",
    "Precision",
    "Prefix",
    "Prompt",
    "PromptCard",
    "RoundingError",
    "SoftPrompt",
    "concat",
    "encode",
    "encode_again",
    "load",
    "load_card",
    "load_content_hash",
    "load_lone_card",
    "load_module_state",
    "mix",
    "now",
    "rounded",
    "rounding_error",
    "save",
    "write",
]
