"""A data folder of each test's own."""

import pytest


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("PROMPTGRAFT_DATA", str(tmp_path))
    return tmp_path
