"""Settings that would be passed over in silence are errors."""

import pytest

from promptgraft import api
from promptgraft.errors import ConfigError
from promptgraft.library import Library
from promptgraft.training import parse_settings, read


@pytest.mark.parametrize(
    ("settings", "unread"),
    [
        ({"method": "crosspt", "module": "mlp"}, "module"),
        ({"hidden": 64}, "hidden"),
        ({"transfer": {"configuration": "P"}}, "transfer"),
        ({"weights": {"rank": 4}}, "weights"),
        ({"method": "lora", "pool": ["a@b"]}, "pool"),
        ({"method": "bitfit", "init": "labels"}, "init"),
        ({"init_text": "good"}, "init_text"),
        ({"init": "text", "init_prompt": "a@b"}, "init_prompt"),
    ],
)
def test_what_would_mean_nothing(settings, unread):
    with pytest.raises(ConfigError, match=rf"{unread}\b.* would mean nothing"):
        read(api.TuneConfig, None, {"model": "m", "task": "sst2"} | settings)


@pytest.mark.parametrize(("name", "near"), [("module", "mlp"), ("init", "labels")])
def test_unknown_names_are_told_at_once(name, near):
    with pytest.raises(ConfigError, match=rf"{name}: expected one of .* Did you mean '{near}'"):
        read(api.TuneConfig, None, {"model": "m", "task": "sst2", name: near[:-1]})


def test_none_is_a_prompt_encoder():
    from promptgraft.transfer.across_tasks.crosspt import CrossPTSettings

    given = parse_settings(["transfer.encoder=none"])["transfer"]
    assert CrossPTSettings.model_validate(given).encoder == "none"


def test_settings_beside_a_config_are_not_dropped(tmp_path):
    config = read(api.TuneConfig, None, {"model": "m", "task": "sst2"})
    with pytest.raises(ConfigError, match="given a config and steps, n beside it"):
        api.tune(config, model="n", steps=5, library=Library(tmp_path))


@pytest.mark.parametrize(
    ("task", "folder"),
    [
        ("films.csv", "films@m-soft-prompt"),
        ("tasks/films.yaml", "films@m-soft-prompt"),
        ("hub:me/bar-1.0", "bar-1.0@m-soft-prompt"),
        ("lama/P19", "P19@m-soft-prompt"),
    ],
)
def test_a_folder_for_each_task(task, folder):
    config = read(api.TuneConfig, None, {"model": "m", "task": task})
    assert config.folder().name == folder
