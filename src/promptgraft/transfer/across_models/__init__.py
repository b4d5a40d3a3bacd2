"""Transfer across models: anchors, relative representation, search."""

from promptgraft.transfer.across_models.anchors import Anchors, shared_anchors
from promptgraft.transfer.across_models.relative import relative_representation
from promptgraft.transfer.across_models.transfer import transfer

__all__ = ["Anchors", "relative_representation", "shared_anchors", "transfer"]
