"""Frozen models: the only place that knows how `transformers` works inside."""

from promptgraft.models.batch import IGNORED, Batch, Encoded
from promptgraft.models.cost import Cost
from promptgraft.models.frozen import FrozenModel
from promptgraft.models.gather import Emitter, OnePrompt, Prompts, PromptTensors
from promptgraft.models.geometry import Geometry
from promptgraft.models.prompted import Row, Rows
from promptgraft.prompts.card import Family

__all__ = [
    "IGNORED",
    "Batch",
    "Cost",
    "Emitter",
    "Encoded",
    "Family",
    "FrozenModel",
    "Geometry",
    "OnePrompt",
    "PromptTensors",
    "Prompts",
    "Row",
    "Rows",
]
