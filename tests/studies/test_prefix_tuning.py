"""The study of prefixes end to end on tiny models, and what it rests on."""

import pytest

from conftest import tiny
from promptgraft.cli import main
from promptgraft.errors import ConfigError
from promptgraft.studies import Setting, prefix_tuning, topics
from promptgraft.studies.prefix_tuning import PrefixTuning
from promptgraft.studies.tunings import Data, Tunings
from promptgraft.tasks import load
from writing import put_rows

QUICK = {
    "steps": 2, "batch_size": 4, "evaluate_every": 1, "evaluate_rows": 4, "test_rows": 3,
    "samples": 0, "decoding": {"max_new_tokens": 3},
}  # fmt: skip
SPORT = "the team won the match and the league cup in the last game of the season"
CRIME = "police said in court that the trial of the man charged with murder goes on"
OTHER = "a fine day for a walk in the hills with all of the family and the dog"


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Models gpt2 and bart, and rows of four sets."""
    for kind in ("gpt2", "bart"):
        tiny(kind).save(tmp_path / kind)
    for task in ("e2e", "webnlg", "dart", "xsum"):
        for split, count in (("train", 12), ("validation", 6), ("test", 6)):
            rows = [
                {
                    "source": [SPORT, CRIME, OTHER][n % 3] + f" {n}",
                    "target": "a good film",
                    "references": ["a good film", "a great film"],
                    "split_kind": ["seen", "unseen"][n % 2],
                }
                for n in range(count)
            ]
            put_rows(tmp_path / "data" / task / f"{split}.jsonl.gz", rows)
    monkeypatch.setenv("PROMPTGRAFT_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(prefix_tuning, "MINIATURE", QUICK)
    monkeypatch.setattr(prefix_tuning, "FEW", {"steps": 2, "evaluate_every": 1})
    monkeypatch.setattr(prefix_tuning, "SIZES", (4, 6))
    monkeypatch.setattr(prefix_tuning, "LENGTHS", (1, 2))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_study_writes_its_page_and_goes_on_where_it_was(place, capsys, monkeypatch):
    words = ["study", "prefix-tuning", "-m", "./gpt2", "-m", "./bart", "--seeds", "1"]
    words += [option for part in ("1", "3", "figure-4", "samples") for option in ("--part", part)]
    with pytest.raises(SystemExit) as stopped:
        main(words)
    assert stopped.value.code == 0, capsys.readouterr().err
    page = place / "studies" / "prefix-tuning" / "README.md"
    text = page.read_text()
    assert "Table 1: tables to text, ./gpt2" in text
    assert "Table 3: other topics, ./bart" in text
    assert "The paper's table 3" in text
    assert (page.parent / "figure-4.png").read_bytes().startswith(b"\x89PNG")
    assert not list(page.parent.glob("run*"))
    monkeypatch.setattr(Tunings, "_measured", None)  # nothing is measured again
    with pytest.raises(SystemExit) as again:
        main(words)
    assert again.value.code == 0
    assert page.read_text() == text


def test_the_rate_is_the_best_on_validation_data_and_the_same_for_few_rows(place):
    study = PrefixTuning(Setting(["./gpt2"], place / "out", seeds=1))
    way = study.prefix(length=2)
    plain = {"method": "prefix", "module": "mlp"}
    rates = prefix_tuning.RATES["prefix"]
    trials = [
        study._run("./gpt2", Data("e2e"), {**plain, "lr": rate}, 0, test=False) for rate in rates
    ]
    by_rate = {rate: run.dev for rate, run in zip(rates, study._runs(trials), strict=True)}
    best = max(by_rate, key=lambda rate: by_rate[rate])
    assert study.rate("./gpt2", Data("e2e"), way) == best
    (few,) = study.each("./gpt2", [(Data("e2e", 4, 1), 0)], way)
    (again,) = study.each("./gpt2", [(Data("e2e", 4, 1), 0)], {**way, "lr": best})
    assert few == again
    layers, heads, size = study.model("./gpt2").geometry.sites["self"]
    assert few.stored == layers * 2 * 2 * heads * size  # keys and values of two virtual tokens


def test_the_papers_settings_are_those_of_its_table_5(place):
    study = PrefixTuning(Setting(["./gpt2", "./bart"], place / "out", seeds=1, full=True))
    told = {name: study._published(way, Data("webnlg")) for name, way in study.methods.items()}
    rates = {name: (own["lr"], own["batch_size"]) for name, own in told.items()}
    assert rates == {
        "fine-tuning": (1e-5, 6), "top 2 layers": (5e-5, 9), "adapter 3 %": (5e-5, 5),
        "adapter 0.1 %": (5e-5, 5), "prefix": (5e-5, 5),
    }  # fmt: skip
    assert told["prefix"]["steps"] == 12  # 5 epochs of 12 rows
    assert told["fine-tuning"]["steps"] == 20
    assert {name for name, own in told.items() if "length" in own} == {"prefix"}
    summary = study._published(study.prefix(), Data("xsum"))
    assert (summary["length"], summary["hidden"], summary["max_length"]) == (100, 800, 512)
    unlisted = study._published(study.way("soft-prompt"), Data("e2e"))
    assert unlisted == {"lr": 5e-5, "batch_size": 5, "length": 10, "steps": 24}
    word = study.start("elephant")
    assert word["length"] == len(study.model("./gpt2").tokenizer("elephant")["input_ids"])


def test_few_rows_have_few_validation_rows(place):
    task = Data("e2e", 6, 0).load()
    assert len(task.rows("train")) == 6
    assert len(task.rows("validation")) == 2
    other = Data("e2e", 6, 1).load()
    assert other.rows("train") != task.rows("train")


def test_topics_of_training_and_test_differ(place):
    assert [topics.topic_of(t) for t in (SPORT, CRIME, OTHER, "")] == [
        "sport", "crime", "other", "other",
    ]  # fmt: skip
    divided = topics.by_topic(load("xsum"), "news to sports")
    assert {topics.topic_of(row["source"]) for row in divided.rows("test")} == {"sport"}
    assert "sport" not in {topics.topic_of(row["source"]) for row in divided.rows("train")}
    within = topics.by_topic(load("xsum"), "within news")
    assert {topics.topic_of(row["source"]) for row in within.rows("train")} == {"crime"}
    assert {topics.topic_of(row["source"]) for row in within.rows("test")} == {"other"}


def test_a_part_says_which_family_it_lacks(place):
    study = PrefixTuning(Setting(["./gpt2"], place / "out", seeds=1))
    with pytest.raises(ConfigError, match="seq2seq model; name one more with --model"):
        prefix_tuning.table_2(study)


def test_all_published_figures_are_there():
    tables = prefix_tuning.published()
    assert tables["1"].rows[-1][:2] == ["prefix", "69.7"]
    assert [len(table.rows) for table in tables.values()] == [5, 3, 2, 7]
