"""Keys: whose they are, what they may use, and how much."""

import pytest
import yaml

from promptgraft.errors import ConfigError
from promptgraft.serving.keys import Keys, new_key


def keys_of(tmp_path, clock, **limits):
    secret, entry = new_key("alice")
    loaded = yaml.safe_load(entry)
    loaded[0].update(limits)
    file = tmp_path / "keys.yaml"
    file.write_text(yaml.safe_dump(loaded))
    return Keys(file, lambda: clock[0]), secret


def test_the_file_holds_no_secret(tmp_path):
    keys, secret = keys_of(tmp_path, [0.0])
    assert secret not in (tmp_path / "keys.yaml").read_text()
    assert keys.holder(secret).name == "alice"
    assert keys.holder(secret + "x") is keys.holder("") is keys.holder(None) is None


def test_globs(tmp_path):
    keys, secret = keys_of(tmp_path, [0.0], prompts=["sst2@*", "e2e@mini/gpt2-m"])
    key = keys.holder(secret)
    assert key.may_use("sst2@mini/bert-s:v2")
    assert key.may_use("e2e@mini/gpt2-m")
    assert not key.may_use("e2e@mini/gpt2-s")


def test_requests_come_back_over_time(tmp_path):
    clock = [0.0]
    keys, secret = keys_of(tmp_path, clock, requests_per_minute=3)
    key = keys.holder(secret)
    assert [keys.wait(key) for _ in range(4)] == [0.0, 0.0, 0.0, pytest.approx(20.0)]
    clock[0] = 21.0
    assert keys.wait(key) == 0.0
    assert keys.wait(key) > 0.0
    clock[0] = 1000.0
    assert [keys.wait(key) > 0 for _ in range(4)] == [False, False, False, True]


def test_tokens_of_a_day(tmp_path):
    clock = [0.0]
    keys, secret = keys_of(tmp_path, clock, tokens_per_day=10)
    key = keys.holder(secret)
    assert keys.wait(key) == 0.0
    keys.spend(key, 10)
    clock[0] = 1000.0
    assert keys.wait(key) == pytest.approx(86_400 - 1000)
    clock[0] = 86_401.0
    assert keys.wait(key) == 0.0


def test_a_file_that_is_wrong(tmp_path):
    file = tmp_path / "keys.yaml"
    for text, message in (
        ("- name: x\n  sha256: abc", "0.sha256"),
        ("- name: x\n  sha257: abc", "0.sha256"),
        ("name: x", "list"),
        ("[", "Cannot read"),
    ):
        file.write_text(text)
        with pytest.raises(ConfigError, match=message):
            Keys(file)
    with pytest.raises(ConfigError, match="Cannot read"):
        Keys(tmp_path / "missing")
