"""Accuracy, F1, Matthews and the correlations against their definitions, written out."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score, matthews_corrcoef

from promptgraft import metrics
from promptgraft.errors import DataError

EXPECTED = ["yes", "yes", "yes", "no", "no", "no", "no", "maybe"]
PREDICTED = ["yes", "no", "yes", "no", "no", "yes", "perhaps", "maybe"]
# yes: 2 hits, 3 expected, 3 predicted; no: 2 hits, 4 expected, 3 predicted; maybe: 1, 1, 1
F1_YES, F1_NO, F1_MAYBE = 2 * 2 / (3 + 3), 2 * 2 / (4 + 3), 1.0

pairs = st.lists(
    st.tuples(st.sampled_from(["yes", "no"]), st.sampled_from(["yes", "no"])), min_size=1
)
numbers = st.lists(st.tuples(st.integers(-50, 50), st.integers(-50, 50)), min_size=2, max_size=30)


def value(name, predictions, references):
    return metrics.score([name], predictions, [[text] for text in references])[name]


def literal_pearson(x, y):
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    covariance = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True))
    spread = sum((a - mean_x) ** 2 for a in x) * sum((b - mean_y) ** 2 for b in y)
    return 100 * covariance / math.sqrt(spread) if spread else 0.0


def ranks(x):
    """Rank of each value; equal values share the mean of their ranks."""
    return [sum(b < a for b in x) + (sum(b == a for b in x) + 1) / 2 for a in x]


def test_accuracy_and_f1_of_a_worked_example():
    assert value("accuracy", PREDICTED, EXPECTED) == pytest.approx(100 * 5 / 8)
    assert value("f1", PREDICTED, EXPECTED) == pytest.approx(100 * (F1_YES + F1_NO + F1_MAYBE) / 3)
    assert value("f1:yes", PREDICTED, EXPECTED) == pytest.approx(100 * F1_YES)
    assert value("f1:no", PREDICTED, EXPECTED) == pytest.approx(100 * F1_NO)


def test_accuracy_takes_any_reference_and_ignores_outer_space():
    assert metrics.score(["accuracy"], [" Paris", "Rome"], [["Lyon", "Paris "], ["rome"]]) == {
        "accuracy": 50.0
    }


def test_f1_of_a_label_that_never_occurs_is_zero():
    assert value("f1:maybe", ["yes"], ["no"]) == 0


@settings(deadline=None)  # the first example imports a library
@given(pairs)
def test_binary_metrics_are_their_formulas(rows):
    predicted, expected = zip(*rows, strict=True)
    tp, fp = rows.count(("yes", "yes")), rows.count(("yes", "no"))
    fn, tn = rows.count(("no", "yes")), rows.count(("no", "no"))
    f1 = 200 * tp / (2 * tp + fp + fn) if tp else 0
    spread = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
    matthews = 100 * (tp * tn - fp * fn) / math.sqrt(spread) if spread else 0
    assert value("f1:yes", predicted, expected) == pytest.approx(f1)
    assert value("matthews", predicted, expected) == pytest.approx(matthews)


@settings(deadline=None)  # the first example imports a library
@given(numbers)
def test_correlations_are_their_formulas(rows):
    x, y = zip(*rows, strict=True)
    texts = [str(a) for a in x], [str(b) for b in y]
    assert value("pearson", *texts) == pytest.approx(literal_pearson(x, y))
    assert value("spearman", *texts) == pytest.approx(literal_pearson(ranks(x), ranks(y)))


def test_a_prediction_that_is_no_number_counts_as_the_mean():
    expected = ["1", "2", "6"]
    for nonsense in ("the", "nan", "inf", ""):
        assert value("pearson", ["1", nonsense, "5"], expected) == pytest.approx(
            literal_pearson([1, 3, 5], [1, 2, 6])
        )


def test_a_reference_that_is_no_number_is_an_error():
    with pytest.raises(DataError, match="the reference 1 is 'two'"):
        value("pearson", ["1", "2"], ["1", "two"])


@pytest.mark.parametrize("labels", ["ab", "abcd"])
def test_counted_as_sklearn_does(labels):
    """Also on samples of the rows, where a label may be missing on either side."""
    generator = np.random.default_rng(0)
    expected = generator.choice([*labels], 30)
    predicted = np.where(generator.random(30) < 0.5, expected, generator.choice([*labels, "z"], 30))
    references = [[label] for label in expected]
    ours = {n: metrics.get(n).over([*predicted], references) for n in ("f1", "f1:b", "matthews")}
    for size in (30, 30, 10, 4, 2, 1):
        rows = generator.integers(30, size=size)
        true, got = expected[rows], predicted[rows]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            macro = f1_score(true, got, labels=np.unique(true), average="macro", zero_division=0)
            of_b = f1_score(true == "b", got == "b", zero_division=0)
            correlation = matthews_corrcoef(true, got)
        found = [ours[name](rows) / 100 for name in ours]
        assert found == pytest.approx([macro, of_b, correlation])


@pytest.mark.parametrize("name", ["f1", "f1:yes", "matthews", "pearson", "spearman"])
def test_one_reference_only(name):
    with pytest.raises(DataError, match="one reference for each row; row 1 has 2"):
        metrics.score([name], ["1", "2"], [["1"], ["1", "2"]])
