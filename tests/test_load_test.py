"""The soak runs, and tells what grows."""

from pathlib import Path

import pytest


@pytest.fixture
def load_test(monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("peft")  # its version is on record
    monkeypatch.syspath_prepend(Path(__file__).parent.parent / "benchmarks")
    import load_test

    return load_test


def test_seconds_of_it(load_test, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    monkeypatch.setattr(load_test, "MOST_GROWTH", 10.0)  # seconds say nothing of it
    load_test.main(["--minutes", "0.05", "--prompts", "5", "--rows", "4"])
    printed = capsys.readouterr().out
    assert "| errors not the client's     | 0 " in printed
    assert "0 rows, 0 waiting" in printed


def test_growth_is_counted_from_the_end_of_the_warm_up(load_test):
    level = [(float(at), 100 + 10 * min(at, 20)) for at in range(101)]
    assert load_test.growth(level) == 0.0
    rising = [(float(at), 100 + at) for at in range(101)]
    assert load_test.growth(rising) == pytest.approx(60 / 130)
