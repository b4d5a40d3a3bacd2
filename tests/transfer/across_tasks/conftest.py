"""Encodings of tests stay out of the user's cache."""

import pytest

from promptgraft.transfer.across_tasks import instances


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setattr(instances, "CACHE", tmp_path_factory.mktemp("cache"))
