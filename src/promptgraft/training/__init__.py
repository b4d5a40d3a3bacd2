"""Tuning a prompt module against a frozen model, and judging the result."""

from promptgraft.training import processes
from promptgraft.training.baselines import FineTuning
from promptgraft.training.checkpoint import Progress
from promptgraft.training.config import TrainingConfig, merged, parse_settings, read
from promptgraft.training.evaluation import Evaluation, Scores, evaluate, mean_loss, predict, score
from promptgraft.training.loop import Outcome, Report, train
from promptgraft.training.many import Run, train_many
from promptgraft.training.objective import Objective, encode

__all__ = [
    "Evaluation",
    "FineTuning",
    "Objective",
    "Outcome",
    "Progress",
    "Report",
    "Run",
    "Scores",
    "TrainingConfig",
    "encode",
    "evaluate",
    "mean_loss",
    "merged",
    "parse_settings",
    "predict",
    "processes",
    "read",
    "score",
    "train",
    "train_many",
]
