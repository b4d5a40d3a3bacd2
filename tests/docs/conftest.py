"""Places in which pages, examples and notebooks run fast: small samples, models loaded once."""

import gzip
from itertools import islice
from pathlib import Path

import pytest

from promptgraft.models import FrozenModel
from promptgraft.tasks import builtin

ROOT = Path(__file__).parent.parent.parent
ROWS = {"train": 120, "validation": 8, "test": 8}  # of every sample


@pytest.fixture(scope="session")
def samples(tmp_path_factory):
    """The first rows of the package's data sets."""
    folder = tmp_path_factory.mktemp("samples")
    for file in builtin.SAMPLES.glob("*/*.jsonl.gz"):
        short = folder / file.parent.name / file.name
        short.parent.mkdir(exist_ok=True)
        with gzip.open(file, "rt") as rows, gzip.open(short, "wt") as kept:
            kept.writelines(islice(rows, ROWS[file.name.partition(".")[0]]))
    return folder


@pytest.fixture(scope="session")
def loaded():
    """Models that were loaded before."""
    return {}


@pytest.fixture
def place(tmp_path, monkeypatch, samples, loaded):
    """A folder with examples/ and an empty library, in which short runs are enough."""
    load = FrozenModel.load

    def load_once(name, *arguments, **settings):
        key = (name, arguments, tuple(sorted(settings.items())))
        if not name.startswith("mini/"):
            return load(name, *arguments, **settings)
        if key not in loaded:
            loaded[key] = load(name, *arguments, **settings)
        return loaded[key]

    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PROMPTGRAFT_DATA", raising=False)
    monkeypatch.setenv("PROMPTGRAFT_LIBRARY", str(tmp_path / "library"))
    monkeypatch.setattr(builtin, "SAMPLES", samples)
    monkeypatch.setattr(FrozenModel, "load", load_once)
    return tmp_path
