"""The public verbs: names in, objects out."""

from promptgraft.api.config import TuneConfig
from promptgraft.api.joint import JointConfig, JointRun, tune_jointly
from promptgraft.api.moving import Refined, refine, teach, transfer
from promptgraft.api.names import resolve
from promptgraft.api.outcome import Run
from promptgraft.api.recommending import Recommendation, recommend
from promptgraft.api.running import resume, run, settings
from promptgraft.api.scoring import score
from promptgraft.api.shared import SharedConfig, SharedRun, tune_shared
from promptgraft.api.tuning import Plan, plan, tune
from promptgraft.api.understanding import Clusters, Explanation, clusters, explain
from promptgraft.api.using import evaluate, generate, nearest_tokens
from promptgraft.api.weights import Weights, tune_weights

__all__ = [
    "Clusters",
    "Explanation",
    "JointConfig",
    "JointRun",
    "Plan",
    "Recommendation",
    "Refined",
    "Run",
    "SharedConfig",
    "SharedRun",
    "TuneConfig",
    "Weights",
    "clusters",
    "evaluate",
    "explain",
    "generate",
    "nearest_tokens",
    "plan",
    "recommend",
    "refine",
    "resolve",
    "resume",
    "run",
    "score",
    "settings",
    "teach",
    "transfer",
    "tune",
    "tune_jointly",
    "tune_shared",
    "tune_weights",
]
