"""`promptgraft init`: the file it writes is what `promptgraft tune --config` takes."""

from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from conftest import tiny
from promptgraft import cli

REVIEWS = Path(__file__).parents[2] / "examples" / "reviews.csv"
QUICK = ["steps=2", "length=3", "batch_size=4", "dtype=float32", "evaluate_rows=20"]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with a tiny BERT and the reviews, and an empty library."""
    model = tiny("bert")
    model.save(tmp_path / "bert")
    (tmp_path / "reviews.csv").write_bytes(REVIEWS.read_bytes())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PROMPTGRAFT_LIBRARY", str(tmp_path / "library"))
    return tmp_path


def test_its_file_tunes(place, command):
    code, out, _ = command("init", "reviews.csv", "--yes", "--model", "./bert")
    assert (code, out) == (0, "reviews.yaml\n")
    text = (place / "reviews.yaml").read_text("utf-8")
    assert "guessed from their order, correct it" in text
    settings = yaml.safe_load(text)
    data = {"text": "review", "label": "stars", "verbalizer": {"1": "bad", "5": "good"}}
    assert settings["data"] == data
    code, out, _ = command("tune", "--config", "reviews.yaml", *QUICK)
    assert code == 0
    assert "Prompt  reviews@bert" in out


def test_nothing_is_replaced_unasked(place, command):
    (place / "reviews.yaml").write_text("mine")
    code, _, told = command("init", "reviews.csv", "--yes")
    assert code == 1
    assert "reviews.yaml is there already" in told
    assert (place / "reviews.yaml").read_text() == "mine"
    assert command("init", "reviews.csv", "--yes", "--force")[0] == 0
    assert "mine" not in (place / "reviews.yaml").read_text()


def test_it_asks_and_takes_other_answers(place):
    answers = ["reviews.csv", "review", "stars", "awful", "great", "./bert", ""]
    found = CliRunner().invoke(cli.app, ["init", "--out", "mine.yaml"], "\n".join(answers) + "\n")
    assert found.exit_code == 0, found.output
    settings = yaml.safe_load((place / "mine.yaml").read_text("utf-8"))
    assert settings["data"]["verbalizer"] == {"1": "awful", "5": "great"}
    assert (settings["model"], settings["method"]) == ("./bert", "soft-prompt")
    assert "guessed" not in (place / "mine.yaml").read_text("utf-8")


def test_a_built_in_task_needs_no_columns(place, command):
    assert command("init", "e2e", "--yes")[0] == 0
    settings = yaml.safe_load((place / "e2e.yaml").read_text("utf-8"))
    assert "data" not in settings
    assert settings["method"] == "prefix"
    assert command("init", "sst2", "--yes", "--label", "x")[0] == 2
    assert not (place / "sst2.yaml").exists()


def test_what_is_wrong_is_said_before_anything_is_written(place, command):
    code, _, told = command("init", "revews.csv", "--yes")
    assert code == 1
    assert "revews.csv" in told
    code, _, told = command("init", "reviews.csv", "--yes", "--method", "prefx")
    assert code == 1
    assert "Did you mean 'prefix'" in told
    assert not list(place.glob("*.yaml"))
