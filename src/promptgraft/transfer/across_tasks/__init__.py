"""Transfer across tasks: prompt modules that are built from a pool of source prompts."""

from promptgraft.transfer.across_tasks import (  # they register themselves
    attempt,
    crosspt,
    dept,
    mpt,
    ptg,
    spot,
)
from promptgraft.transfer.across_tasks.adaptive import AdaptivePrompt, frozen, restore, stored
from promptgraft.transfer.across_tasks.method import METHODS, Given, Transfer, build, settings_of
from promptgraft.transfer.across_tasks.pool import Pool, kind_of, parents, pool_of

__all__ = [
    "METHODS",
    "AdaptivePrompt",
    "Given",
    "Pool",
    "Transfer",
    "attempt",
    "build",
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
]
