"""Tasks: rows, templates, verbalizers and metrics, from built-in sets, files or the hub.

`load("sst2")`, `load("reviews.csv", text="review", label="stars", verbalizer={...})`,
`load("task.yaml")` and `load("hub:glue:cola")` give a `Task`; `names()` lists what is built in.
"""

from promptgraft.tasks.builtin import known, names
from promptgraft.tasks.loading import load, name_of
from promptgraft.tasks.readers import Row
from promptgraft.tasks.schema import label_key
from promptgraft.tasks.task import FAMILIES, SPLITS, Split, Task

__all__ = [
    "FAMILIES",
    "SPLITS",
    "Row",
    "Split",
    "Task",
    "known",
    "label_key",
    "load",
    "name_of",
    "names",
]
