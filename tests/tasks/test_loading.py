"""`load`: from files, folders and YAML to a task; what is found, and what is refused and how."""

import json
import pickle

import pytest

from promptgraft import tasks
from promptgraft.errors import BadFileError, ConfigError, DataError

WORDS = {"1": "bad", "5": "good"}


@pytest.fixture(autouse=True)
def no_data_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("PROMPTGRAFT_DATA", raising=False)
    monkeypatch.chdir(tmp_path)


def jsonl(path, rows):
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def reviews(path, count=20):
    lines = [f"review {i},{5 if i % 2 else 1}" for i in range(count)]
    path.write_text("\n".join(["review,stars", *lines]) + "\n")


def test_a_csv_with_columns_of_its_own(tmp_path):
    reviews(tmp_path / "reviews.csv")
    task = tasks.load("reviews.csv", text="review", label="stars", verbalizer={1: "bad", 5: "good"})
    assert (task.name, task.kind, task.inputs, task.target) == (
        "reviews",
        "classification",
        ("text",),
        "label",
    )
    assert [len(task.rows(split)) for split in tasks.SPLITS] == [16, 2, 2]
    assert "80 % / 10 % / 10 %" in task.notes[0]
    row = task.rows("train")[0]
    assert row == {"text": "review 0", "label": "1"}
    assert task.answer(row) == "bad"
    assert task.references(row) == ["bad"]
    assert task.template("masked") == "{prompt} {text} {mask} ."
    again = tasks.load("reviews.csv", text="review", label="stars", verbalizer=WORDS)
    assert again.data_hash() == task.data_hash()


def test_words_as_labels_need_no_verbalizer(tmp_path):
    labels = ["entailment", "not_entailment"]
    jsonl(
        tmp_path / "pairs.jsonl",
        [{"text_a": f"a{i}", "text_b": "b", "label": labels[i % 2]} for i in range(20)],
    )
    task = tasks.load("pairs.jsonl")
    assert task.verbalizer == {"entailment": "entailment", "not_entailment": "not entailment"}
    assert task.template("causal") == "{prompt} {text_a} | {text_b} =>"


def test_labels_of_any_type_are_one(tmp_path):
    rows = [{"text": f"t{i}", "label": label} for i, label in enumerate([1, 1.0, "1", " 1 ", 0])]
    jsonl(tmp_path / "a.jsonl", rows)
    task = tasks.load("a.jsonl", validation="a.jsonl", verbalizer={0: "no", "1": "yes"})
    assert [task.answer(row) for row in task.rows("train")] == ["yes"] * 4 + ["no"]


def test_generation_with_references(tmp_path):
    jsonl(tmp_path / "g" / "train.jsonl", [{"source": "a : b", "target": "A is b ."}])
    jsonl(tmp_path / "g" / "dev.jsonl", [{"source": "c : d", "references": ["C is d .", "D ."]}])
    task = tasks.load(tmp_path / "g")
    assert (task.name, task.kind, list(task.splits)) == ("g", "generation", ["train", "validation"])
    (row,) = task.rows("validation")
    assert task.answer(row) == "C is d ."
    assert task.references(row) == ["C is d .", "D ."]
    assert task.references(task.rows("train")[0]) == ["A is b ."]
    with pytest.raises(DataError, match=r"has no test split; it has train, validation"):
        task.rows("test")
    with pytest.raises(ConfigError, match="no template for masked models"):
        task.template("masked")


def test_references_of_another_name_in_the_test_file_only(tmp_path):
    jsonl(tmp_path / "g" / "train.jsonl", [{"source": "a", "text": "b"}])
    jsonl(tmp_path / "g" / "test.jsonl", [{"source": "a", "all": ["b", "c"]}])
    jsonl(tmp_path / "g" / "dev.jsonl", [{"source": "a", "all": ["d"]}])
    task = tasks.load("g", target="text", references="all")
    assert task.references(task.rows("test")[0]) == ["b", "c"]


def test_regression(tmp_path):
    rows = [{"text": f"t{i}", "label": i / 3} for i in range(9)]
    jsonl(tmp_path / "scores.jsonl", rows)
    task = tasks.load("scores.jsonl", kind="regression", validation="scores.jsonl")
    assert task.metrics == ("pearson", "spearman")
    assert task.answer(task.rows("train")[4]) == "1.3"
    assert float(task.references(task.rows("train")[4])[0]) == pytest.approx(4 / 3)
    jsonl(tmp_path / "scores.jsonl", [*rows, {"text": "t", "label": "high"}])
    with pytest.raises(DataError, match="line 10: the label is 'high', expected a number"):
        tasks.load("scores.jsonl", kind="regression", validation="scores.jsonl").rows("train")


def test_scores_in_levels(tmp_path):
    jsonl(tmp_path / "g" / "train.jsonl", [{"text": f"t{i}", "label": i} for i in range(6)])
    jsonl(tmp_path / "g" / "dev.jsonl", [{"text": "t", "label": 3.5}])
    levels = {"low": 1, "fair": 3.5, "high": 5}
    task = tasks.load("g", levels=levels)
    assert (task.kind, task.metrics) == ("classification", ("accuracy",))
    answers = [task.answer(row) for row in task.rows("train")]
    assert answers == ["low", "low", "fair", "fair", "high", "high"]
    assert [task.answer(row) for row in task.rows("validation")] == ["fair"]
    assert len(task.few_shot(1, 0).rows("train")) == 3
    with pytest.raises(DataError, match="A label is 5; the levels end with high, 4"):
        tasks.load("g", levels={"low": 1, "high": 4}).rows("train")
    with pytest.raises(ConfigError, match="highest score of each, rising"):
        tasks.load("g", levels={"low": 3, "high": 1})
    with pytest.raises(ConfigError, match="leave the verbalizer out"):
        tasks.load("g", levels=levels, verbalizer=WORDS)


def test_validation_only_is_cut_where_a_test_file_is_given(tmp_path):
    rows = [{"source": str(i), "target": "t"} for i in range(40)]
    jsonl(tmp_path / "g" / "train.jsonl", rows)
    jsonl(tmp_path / "g" / "test.jsonl", rows[:3])
    task = tasks.load("g")
    assert [len(task.rows(split)) for split in tasks.SPLITS] == [36, 4, 3]
    assert "90 % / 10 %" in task.notes[0]


def test_yaml_file_with_paths_of_its_own_and_settings_over_it(tmp_path, monkeypatch):
    (tmp_path / "deep").mkdir()
    reviews(tmp_path / "deep" / "reviews.csv")
    reviews(tmp_path / "deep" / "more.csv", 6)
    (tmp_path / "deep" / "stars.yaml").write_text(
        "data: reviews.csv\nvalidation: more.csv\ntext: review\nlabel: stars\n"
        "verbalizer: {1: bad, 5: good}\nmetrics: f1\n"
        "templates: {masked: '{text} {prompt} {mask}'}\n"
        "manual: ['{text} It is {mask} .', '{mask} : {text}']\n"
    )
    task = tasks.load("deep/stars.yaml", metrics=["accuracy", "f1:good"])
    assert (task.name, task.metrics) == ("stars", ("accuracy", "f1:good"))
    assert [len(task.rows(split)) for split in ("train", "validation")] == [20, 6]
    assert task.template("masked") == "{text} {prompt} {mask}"
    assert task.template("seq2seq") == "{prompt} {text}"
    assert task.manual == {
        "masked": ("{text} It is {mask} .", "{mask} : {text}"),
        "causal": ("{text} It is",),
        "seq2seq": ("{text} It is",),
    }


def test_rows_by_the_value_of_a_field(tmp_path):
    """News to sport, as Prefix-Tuning extrapolates: trained on one topic, tested on another."""
    topics = ["sport", "uk", "world", "sport"]
    rows = [{"source": f"{n}", "target": "t", "topic": t, "n": n} for n, t in enumerate(topics)]
    for name in ("train", "dev", "test"):
        jsonl(tmp_path / "g" / f"{name}.jsonl", rows)
    chosen = {"without": {"train": {"topic": "sport"}}, "only": {"test": {"topic": ["sport"]}}}
    task = tasks.load("g", **chosen)
    assert [row["n"] for row in task.rows("train")] == [1, 2]
    assert [row["n"] for row in task.rows("validation")] == [0, 1, 2, 3]
    assert [row["n"] for row in task.rows("test")] == [0, 3]
    both = {"test": {"topic": ["sport", "uk"], "n": [0, 1, 2]}}
    assert [row["n"] for row in tasks.load("g", only=both).rows("test")] == [0, 1]
    with pytest.raises(DataError, match=r"sprt as 'topic'; there are sport, uk, world.*'sport'"):
        tasks.load("g", only={"test": {"topic": "sprt"}}).rows("test")
    with pytest.raises(ConfigError, match="Rows of tests are chosen"):
        tasks.load("g", only={"tests": {"topic": "sport"}})
    with pytest.raises(ConfigError, match="only is 'sport', expected names"):
        tasks.load("g", only={"test": "sport"})


def test_all_wrong_settings_at_once(tmp_path):
    reviews(tmp_path / "a.csv")
    with pytest.raises(ConfigError) as error:
        tasks.load("a.csv", txt="review", verbaliser=WORDS, kind="classify", metrics=3)
    for part in ("'txt'. Did you mean 'text'", "Did you mean 'verbalizer'", "'classification'"):
        assert part in str(error.value)
    assert "metrics is 3, expected a list of texts" in str(error.value)
    columns = dict(text="review", label="stars")
    with pytest.raises(ConfigError) as error:
        tasks.load(
            "a.csv",
            verbalizer={1: "bad", 5: "bad"},
            metrics=["acuracy", "f1:god"],
            templates={"causl": "{text}"},
            **columns,
        )
    for part in ("'bad' for two labels", "'accuracy'", "f1:god asks for a word", "'causal'"):
        assert part in str(error.value)


@pytest.mark.parametrize(
    ("content", "kind", "message"),
    [
        ("data: [a.csv\n", BadFileError, "is not YAML"),
        ("- a\n", ConfigError, "expected settings such as"),
        ("kind: generation\n", ConfigError, "no data; give 'data"),
        ("data: a.csv\nverbalizer: {a: no}\n", ConfigError, 'in quotes: "yes"'),
        ("data: a.csv\nmetric: f1\n", ConfigError, "'metric'. Did you mean 'metrics'"),
        ("data: a.csv\n", DataError, r"There is no file .*a\.csv"),
    ],
)
def test_bad_yaml_files(tmp_path, content, kind, message):
    (tmp_path / "t.yaml").write_text(content)
    with pytest.raises(kind, match=message):
        tasks.load("t.yaml")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"text": "a", "label": "x"}, {"text": "b"}], "line 2: no 'label'; the row has 'text'"),
        ([{"text": "a", "label": "x"}, {"text": 3, "label": "x"}], "line 2: 'text' is 3, expected"),
        ([{"text": "a", "label": "x"}, {"text": None, "label": "x"}], "line 2: no 'text'"),
        ([{"text": "a", "label": ["x"]}], r"line 1: the label is \['x'\]"),
        ([{"text": "a", "label": ""}], "line 1: the label is empty"),
        ([{"text": "a", "label": 0}, {"text": "b", "label": 1}], "are no words: 0, 1. Say which"),
        ([{"text": str(i), "label": f"text {i}x"} for i in range(50)], "50 different labels"),
        ([{"a": "b"}], r"has the columns a; expected text \(or text_a and text_b\) and label"),
        ([{"source": "a", "target": " "}], "line 1: 'target' is empty"),
        ([{"source": "a", "references": "b"}], "line 1: 'references' is 'b', expected a list"),
        ([], "a.jsonl has no rows"),
    ],
)
def test_bad_rows(tmp_path, rows, message):
    jsonl(tmp_path / "a.jsonl", rows)
    with pytest.raises(DataError, match=message):
        tasks.load("a.jsonl", validation="a.jsonl").rows("train")


def test_unknown_labels_name_the_nearest(tmp_path):
    jsonl(tmp_path / "train.jsonl", [{"text": "a", "label": x} for x in ("good", "bad")])
    jsonl(tmp_path / "dev.jsonl", [{"text": "a", "label": "goood"}])
    task = tasks.load("train.jsonl", validation="dev.jsonl")
    with pytest.raises(DataError, match=r"dev\.jsonl, line 1: unknown label 'goood'.*'good'\?"):
        task.rows("validation")


def test_unknown_names_and_splits(tmp_path):
    with pytest.raises(DataError, match=r"no task, file or folder 'sst3'.*Did you mean 'sst2'"):
        tasks.load("sst3")
    with pytest.raises(DataError, match="PROMPTGRAFT_DATA to a folder that holds mnli/"):
        tasks.load("mnli")
    reviews(tmp_path / "a.csv")
    with pytest.raises(DataError, match=r"no column 'reviw'.*Did you mean 'review'"):
        tasks.load("a.csv", text="reviw", label="stars")
    with pytest.raises(DataError, match=r"no split 'valid'.*Did you mean 'validation'"):
        tasks.load("sst2").rows("valid")
    jsonl(tmp_path / "two" / "dev.jsonl", [])
    jsonl(tmp_path / "two" / "validation.jsonl", [])
    with pytest.raises(DataError, match=r"2 files for the validation split: dev\.jsonl, val"):
        tasks.load("two")


def test_few_shot_and_subset(tmp_path):
    reviews(tmp_path / "a.csv", 100)
    task = tasks.load("a.csv", text="review", label="stars", verbalizer=WORDS)
    few = task.few_shot(4, seed=3)
    assert sorted(row["label"] for row in few.rows("train")) == ["1"] * 4 + ["5"] * 4
    assert few.rows("train") == task.few_shot(4, seed=3).rows("train")
    assert few.data_hash() != task.data_hash()
    assert few.rows("validation") == task.rows("validation")
    small = few.subset("validation", 3, seed=0)
    assert len(small.rows("validation")) == 3
    assert small.rows("train") == few.rows("train")
    assert task.subset("validation", 999, seed=0).splits.keys() == task.splits.keys()
    with pytest.raises(DataError, match="Ask for"):
        task.few_shot(60, seed=0)


def test_few_shot_of_generation(tmp_path):
    rows = [{"source": str(i), "target": "t"} for i in range(40)]
    jsonl(tmp_path / "g.jsonl", rows)
    task = tasks.load("g.jsonl", validation="g.jsonl")
    assert len(task.few_shot(7, seed=0).rows("train")) == 7
    with pytest.raises(DataError, match="has 40 different training rows, not 41"):
        task.few_shot(41, seed=0)


def test_a_task_goes_to_another_process(tmp_path):
    reviews(tmp_path / "a.csv")
    task = tasks.load("a.csv", text="review", label="stars", verbalizer=WORDS)
    copy = pickle.loads(pickle.dumps(task.few_shot(2, seed=0)))
    assert copy.rows("train") == task.few_shot(2, seed=0).rows("train")
    assert copy.rows("test") == task.rows("test")
