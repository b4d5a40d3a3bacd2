"""The public verbs: names in, objects out."""

from promptgraft.api.config import TuneConfig
from promptgraft.api.names import resolve
from promptgraft.api.tuning import Plan, Run, plan, resume, tune
from promptgraft.api.using import evaluate, generate, nearest_tokens, transfer

__all__ = [
    "Plan",
    "Run",
    "TuneConfig",
    "evaluate",
    "generate",
    "nearest_tokens",
    "plan",
    "resolve",
    "resume",
    "transfer",
    "tune",
]
