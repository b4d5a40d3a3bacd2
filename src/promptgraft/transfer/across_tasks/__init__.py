"""Transfer across tasks: prompt modules that are built from a pool of source prompts."""

from promptgraft.transfer.across_tasks import crosspt, spot  # they register themselves
from promptgraft.transfer.across_tasks.method import METHODS, Given, Transfer, build, settings_of
from promptgraft.transfer.across_tasks.pool import Pool, kind_of, parents, pool_of

__all__ = [
    "METHODS",
    "Given",
    "Pool",
    "Transfer",
    "build",
    "crosspt",
    "kind_of",
    "parents",
    "pool_of",
    "settings_of",
    "spot",
]
