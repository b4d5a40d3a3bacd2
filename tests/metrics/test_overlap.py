"""BLEU against sacrebleu's own command; ROUGE, exact match and Distinct against definitions."""

import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptgraft import metrics

PREDICTIONS = [
    "Blue Spice is a coffee shop in the city centre .",
    "The Mill serves cheap Italian food by the riverside , near Raja .",
    "A pub",
]
REFERENCES = [
    ["A coffee shop in the city centre area called Blue Spice ."],
    [
        "The Mill is a cheap Italian place near Raja by the river .",
        "By the riverside , near Raja , The Mill serves Italian food .",
        "The Mill serves food .",
    ],
    ["A pub .", "It is a pub ."],
]
WORDS = ("red", "fish", "blue", "cat")  # the stemmer leaves them as they are

texts = st.lists(st.sampled_from(WORDS), min_size=1, max_size=8).map(" ".join)


def value(name, predictions, references):
    return metrics.score([name], predictions, references)[name]


def overlap_f(predicted, expected, hits):
    if not hits:
        return 0.0
    precision, recall = hits / len(predicted), hits / len(expected)
    return 2 * precision * recall / (precision + recall)


def literal_rouge(order, prediction, reference):
    grams = []
    for text in (prediction, reference):
        words = text.split()
        grams.append([tuple(words[i : i + order]) for i in range(len(words) - order + 1)])
    hits = (Counter(grams[0]) & Counter(grams[1])).total()
    return overlap_f(*grams, hits)


def common_subsequence(a, b):
    if not a or not b:
        return 0
    if a[-1] == b[-1]:
        return common_subsequence(a[:-1], b[:-1]) + 1
    return max(common_subsequence(a[:-1], b), common_subsequence(a, b[:-1]))


def test_bleu_is_that_of_sacrebleu_for_unequal_numbers_of_references(tmp_path):
    # The command wants equally many references for each row. Repeating one changes no count.
    most = max(map(len, REFERENCES))
    padded = [row + [row[0]] * (most - len(row)) for row in REFERENCES]
    files = []
    for number, column in enumerate(zip(*padded, strict=True)):
        files.append(tmp_path / f"references{number}")
        files[-1].write_text("\n".join(column) + "\n")
    done = subprocess.run(
        [sys.executable, "-m", "sacrebleu", *files, "--score-only", "--width", "6"],
        input="\n".join(PREDICTIONS) + "\n",
        capture_output=True,
        text=True,
        check=True,
    )
    assert value("bleu", PREDICTIONS, REFERENCES) == pytest.approx(float(done.stdout), abs=1e-5)


def test_bleu_of_the_references_is_100():
    assert value("bleu", [row[-1] for row in REFERENCES[:2]], REFERENCES[:2]) == pytest.approx(100)


def test_bleu_of_nothing_written_is_zero():
    assert value("bleu", ["", ""], [["a b c d"], ["e"]]) == 0


@settings(deadline=None)  # the first example imports a library
@given(texts, st.lists(texts, min_size=1, max_size=3))
def test_rouge_is_the_best_over_references(prediction, references):
    for name, order in (("rouge1", 1), ("rouge2", 2)):
        best = max(literal_rouge(order, prediction, reference) for reference in references)
        assert value(name, [prediction], [references]) == pytest.approx(100 * best)
    a, best = prediction.split(), 0.0
    for reference in references:
        b = reference.split()
        best = max(best, overlap_f(a, b, common_subsequence(a, b)))
    assert value("rougeL", [prediction], [references]) == pytest.approx(100 * best)


def test_rouge_is_the_mean_over_rows():
    rows = [value("rouge2", [p], [r]) for p, r in zip(PREDICTIONS, REFERENCES, strict=True)]
    assert value("rouge2", PREDICTIONS, REFERENCES) == pytest.approx(sum(rows) / 3)


def test_exact_match_compares_as_squad_does():
    predictions = ["The Eiffel  Tower!", "theory", "a cat"]
    references = [["Louvre", "eiffel tower"], ["ory"], ["cats"]]
    assert value("exact_match", predictions, references) == pytest.approx(100 / 3)


def test_distinct_counts_over_all_predictions():
    predictions = ["a b a b", "a b c", "d", ""]
    references = [["x"]] * 4
    assert value("distinct1", predictions, references) == pytest.approx(100 * 4 / 8)
    assert value("distinct2", predictions, references) == pytest.approx(100 * 3 / 5)
    assert value("distinct2", ["d"], [["x"]]) == 0
