"""Metrics by name, all with one signature and most in per cent.

`score(["accuracy", "f1:yes"], predictions, references)` gives the values, `interval` a bootstrap
interval, `names` lists what there is. Every value is between 0 and 100, correlations (matthews,
pearson, spearman) between -100 and 100, and more is better; but `ter` counts errors, `nist` and
`cider` have scales of their own, and BLEURT knows no bounds. Predictions and references are
texts: for a classification task the verbalizer's words.
"""

from promptgraft.metrics.metric import Metric
from promptgraft.metrics.registry import get, names
from promptgraft.metrics.scoring import interval, score, score_groups

__all__ = ["Metric", "get", "interval", "names", "score", "score_groups"]
