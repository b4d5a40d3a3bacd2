"""What holds for every metric: names, ranges, samples of rows, intervals, bad input."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptgraft import metrics
from promptgraft.errors import ConfigError, DataError

NAMES = [name for name in [*metrics.names(), "f1:3"] if not metrics.get(name).lack()]
SIGNED = {"matthews", "pearson", "spearman"}
UNBOUNDED = {"ter", "nist", "cider"}

texts = st.sampled_from(["1", "2", "3", "3 4", "5 1 2 2", ""])
expected = st.sampled_from(["1", "2", "3"])
rows = st.lists(st.tuples(texts, expected), min_size=1, max_size=8)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_range_and_samples_of_rows(name, data):
    drawn = data.draw(rows)
    predictions = [prediction for prediction, _ in drawn]
    references = [[reference] for _, reference in drawn]
    low = -100 if name in SIGNED else 0
    metric = metrics.get(name)
    high = np.inf if name in UNBOUNDED else 100
    assert low - 1e-9 <= metric(predictions, references) <= high + 1e-9
    if name == "cider":
        return  # its weights are those of all rows
    # The value over some rows is that of these rows alone. (Pearson and Spearman but for
    # predictions that are no numbers: they stand for the mean over all rows.)
    if name in {"pearson", "spearman"}:
        predictions = [prediction[:1] or "0" for prediction in predictions]
    picked = data.draw(st.lists(st.integers(0, len(drawn) - 1), min_size=1, max_size=8))
    alone = metric([predictions[i] for i in picked], [references[i] for i in picked])
    assert metric.over(predictions, references)(np.array(picked)) == pytest.approx(alone)


def test_score_gives_all_in_the_order_asked_for():
    result = metrics.score(["f1", "accuracy"], ["a", "b"], [["a"], ["a"]])
    assert list(result) == ["f1", "accuracy"]
    assert result["accuracy"] == 50.0


def test_interval_of_a_share_is_near_the_binomial_one():
    # 70 of 100: the normal approximation gives 70 ± 1.96 * 4.58
    predictions, references = ["a"] * 70 + ["b"] * 30, [["a"]] * 100
    low, high = metrics.interval("accuracy", predictions, references)
    assert low == pytest.approx(70 - 9, abs=1.5)
    assert high == pytest.approx(70 + 9, abs=1.5)


def test_interval_depends_on_nothing_but_its_seed():
    predictions, references = ["a b", "c d e", "b"], [["a b c"], ["c d"], ["b"]]
    first = metrics.interval("rouge1", predictions, references, seed=1, samples=50)
    assert first == metrics.interval("rouge1", predictions, references, seed=1, samples=50)
    assert first[0] <= metrics.score(["rouge1"], predictions, references)["rouge1"] <= first[1]


def test_distinct_has_no_bootstrap():
    with pytest.raises(ConfigError, match="distinct1 has no bootstrap"):
        metrics.interval("distinct1", ["a"], [["a"]])


@pytest.mark.parametrize(
    ("name", "message"),
    [("acuracy", "Did you mean 'accuracy'"), ("rouge-l", "'rougeL'"), ("bleu:4", "'bleu4'")],
)
def test_unknown_metric_names_the_nearest(name, message):
    with pytest.raises(ConfigError, match=message):
        metrics.score([name], ["a"], [["a"]])


@pytest.mark.parametrize(
    ("predictions", "references", "message"),
    [
        (["a"], [["a"], ["b"]], "1 predictions and references for 2 rows"),
        ([], [], "no predictions"),
        (["a"], ["a"], "give a list of texts"),
        (["a"], [[]], "not one or more texts"),
        ([3], [["a"]], "Prediction 0 is 3"),
        (["a"], [[None]], "not one or more texts"),
    ],
)
def test_texts_that_do_not_match_up(predictions, references, message):
    with pytest.raises(DataError, match=message):
        metrics.score(["accuracy"], predictions, references)
