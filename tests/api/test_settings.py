"""What kind of run settings ask for: one task and model, several tasks, or several models."""

import pytest

from promptgraft import api
from promptgraft.errors import ConfigError


@pytest.mark.parametrize(
    ("written", "kind", "task", "model"),
    [
        ("task: sst2\nmodel: mini/bert-s", api.TuneConfig, "sst2", "mini/bert-s"),
        ("task: [sst2]\nmodel: [mini/bert-s]", api.TuneConfig, "sst2", "mini/bert-s"),
        ("task: a+b.csv\nmodel: ./c+d", api.TuneConfig, "a+b.csv", "./c+d"),  # they are there
        ("task: rte+mrpc\nmodel: m\nmethod: mpt", api.JointConfig, "rte+mrpc", "m"),
        ("task: [rte, mrpc]\nmodel: m\nmethod: mpt", api.JointConfig, "rte+mrpc", "m"),
        ("task: sst2\nmodel: [a, b]", api.SharedConfig, "sst2", "a+b"),
        ("task: rte+mrpc\nmodel: m\nsampling: uniform", api.JointConfig, "rte+mrpc", "m"),
        ("task: sst2\nmodel: a+b\nwords: 100", api.SharedConfig, "sst2", "a+b"),
    ],
)
def test_a_file_says_what_it_asks_for(tmp_path, monkeypatch, written, kind, task, model):
    monkeypatch.chdir(tmp_path)
    for name in ("a+b.csv", "c+d"):
        (tmp_path / name).touch()
    file = tmp_path / "run.yaml"
    file.write_text(written)
    found = api.settings(file, {"steps": 7})
    assert (type(found), found.task, found.model, found.steps) == (kind, task, model, 7)


def test_the_line_goes_before_the_file(tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text("task: [rte, mrpc]\nmodel: mini/t5-s\nmethod: crosspt")
    found = api.settings(file, {"task": ["sst2"], "method": "soft-prompt"})
    assert (type(found), found.task) == (api.TuneConfig, "sst2")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"task": ["rte", "mrpc"], "model": ["a", "b"]}, "name one task"),
        ({"task": "sst2", "model": "m", "sampling": "uniform"}, "several different tasks"),
        ({"task": "sst2", "model": "m", "words": 100}, "several different models"),
        ({"task": ["rte", 5], "model": "m", "method": "mpt"}, "task: Input should be a valid str"),
    ],
)
def test_what_cannot_be_meant(given, message):
    with pytest.raises(ConfigError, match=message):
        api.settings(None, given)
