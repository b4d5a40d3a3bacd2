"""Encodings of tests stay out of the user's cache."""

import pytest


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setattr("promptgraft.models.loading.CACHE", tmp_path_factory.mktemp("cache"))
