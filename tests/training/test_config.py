"""Settings: all problems at once, nearest names, one meaning from Python, YAML and key=value."""

import pytest
from pydantic import BaseModel, ConfigDict, Field

from promptgraft.errors import ConfigError
from promptgraft.training import TrainingConfig, parse_settings, read


def test_three_ways_to_say_the_same(tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text("steps: 7\nlr: 0.5\npatience: 3\n")
    from_yaml = read(TrainingConfig, file)
    from_texts = read(TrainingConfig, None, parse_settings(["steps=7", "lr=0.5", "patience=3"]))
    assert from_yaml == from_texts == TrainingConfig(steps=7, lr=0.5, patience=3)


def test_later_settings_win(tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text("steps: 7\n")
    assert read(TrainingConfig, file, {"steps": 9}).steps == 9


def test_of_settings_with_entries_the_entries_win(tmp_path):
    class Config(TrainingConfig):
        data: dict[str, str] = Field(default_factory=dict)

    file = tmp_path / "run.yaml"
    file.write_text("data: {text: review, label: stars}\n")
    found = read(Config, file, parse_settings(["data.text=body"])).data
    assert found == {"text": "body", "label": "stars"}


def test_few_settings_are_listed():
    class Config(BaseModel):
        model_config = ConfigDict(extra="forbid")
        heads: int = 1

    with pytest.raises(ConfigError, match=r"zzz: there is no such setting\. There are heads\."):
        read(Config, None, {"zzz": 1})


def test_all_problems_at_once_with_the_nearest_name():
    with pytest.raises(ConfigError) as caught:
        read(TrainingConfig, None, {"stepps": 3, "lr": -1, "schedule": "sudden"})
    message = str(caught.value)
    assert "stepps" in message
    assert "Did you mean" in message
    assert "steps" in message
    assert "lr" in message
    assert "-1" in message
    assert "schedule" in message
    assert "sudden" in message


def test_settings_that_contradict_each_other():
    with pytest.raises(ConfigError, match="equal parts"):
        read(TrainingConfig, None, {"batch_size": 10, "accumulate": 3})


@pytest.mark.parametrize("text", ["lr", "=3"])
def test_not_a_setting(text):
    with pytest.raises(ConfigError, match="key=value"):
        parse_settings([text])


def test_values_are_yaml_and_dots_nest():
    got = parse_settings(["patience=none", "data.text=review", "data.verbalizer={0: bad, 1: good}"])
    assert got == {
        "patience": None,
        "data": {"text": "review", "verbalizer": {0: "bad", 1: "good"}},
    }


def test_texts_are_taken_as_they_are():
    class Config(BaseModel):
        template: str | None = None
        tag: str = ""

    got = parse_settings(["template={prompt} {text}", "tag=2", "lr=2"], Config)
    assert got == {"template": "{prompt} {text}", "tag": "2", "lr": 2}
    assert parse_settings(["template=none"], Config) == {"template": None}


@pytest.mark.parametrize("content", ["- a\n- b\n", "a: [1,\n", "\xff"])
def test_a_file_that_is_not_settings(tmp_path, content):
    file = tmp_path / "run.yaml"
    file.write_bytes(content.encode("latin-1"))
    with pytest.raises(ConfigError, match=r"run\.yaml"):
        read(TrainingConfig, file)
