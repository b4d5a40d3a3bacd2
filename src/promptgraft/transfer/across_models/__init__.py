"""Transfer across models: methods that make a prompt of one model a prompt of another."""

from promptgraft.transfer.across_models import baselines, codes, maps
from promptgraft.transfer.across_models.anchors import shared_anchors
from promptgraft.transfer.across_models.method import METHODS, Method
from promptgraft.transfer.across_models.recipes import RECIPES, method_of
from promptgraft.transfer.across_models.relative import Relative, relative_representation
from promptgraft.transfer.across_models.transfer import transfer
from promptgraft.transfer.across_models.trust import Trust

__all__ = [
    "METHODS",
    "RECIPES",
    "Method",
    "Relative",
    "Trust",
    "baselines",
    "codes",
    "maps",
    "method_of",
    "relative_representation",
    "shared_anchors",
    "transfer",
]
