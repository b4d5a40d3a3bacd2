"""Transfer across tasks: prompt modules that are built from a pool of source prompts."""

from promptgraft.transfer.across_tasks import (  # they register themselves
    attempt,
    crosspt,
    dept,
    mpt,
    ptg,
    spot,
)
from promptgraft.transfer.across_tasks.adaptive import (
    AdaptivePrompt,
    Runnable,
    frozen,
    restore,
    stored,
)
from promptgraft.transfer.across_tasks.clustering import cluster
from promptgraft.transfer.across_tasks.method import (
    METHODS,
    Borrowed,
    Given,
    Transfer,
    build,
    settings_of,
)
from promptgraft.transfer.across_tasks.pool import Pool, kind_of, parents, pool_of
from promptgraft.transfer.across_tasks.similarity import SIMILARITIES, as_weights, vectors

__all__ = [
    "METHODS",
    "SIMILARITIES",
    "AdaptivePrompt",
    "Borrowed",
    "Given",
    "Pool",
    "Runnable",
    "Transfer",
    "as_weights",
    "attempt",
    "build",
    "cluster",
    "crosspt",
    "dept",
    "frozen",
    "kind_of",
    "mpt",
    "parents",
    "pool_of",
    "ptg",
    "restore",
    "settings_of",
    "spot",
    "stored",
    "vectors",
]
