"""Importing tasks and metrics loads nothing heavy: `promptgraft --help` must answer at once."""

import subprocess
import sys

HEAVY = {"torch", "transformers", "datasets", "pandas", "numpy", "sklearn", "scipy", "pyarrow"}
SCRIPT = """
import sys
from promptgraft import metrics, tasks
tasks.load("sst2").few_shot(4, seed=0)
print(*{name.partition(".")[0] for name in sys.modules})
"""


def test_nothing_heavy_is_imported():
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True
    )
    assert not HEAVY & set(done.stdout.split())
