"""The public verbs: names in, objects out."""

from promptgraft.api.config import TuneConfig
from promptgraft.api.moving import Refined, refine, transfer
from promptgraft.api.names import resolve
from promptgraft.api.scoring import Scores, score
from promptgraft.api.tuning import Plan, Run, plan, resume, tune
from promptgraft.api.using import evaluate, generate, nearest_tokens
from promptgraft.api.weights import Weights, tune_weights

__all__ = [
    "Plan",
    "Refined",
    "Run",
    "Scores",
    "TuneConfig",
    "Weights",
    "evaluate",
    "generate",
    "nearest_tokens",
    "plan",
    "refine",
    "resolve",
    "resume",
    "score",
    "transfer",
    "tune",
    "tune_weights",
]
