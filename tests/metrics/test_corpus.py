"""BLEU, NIST, chrF++ and TER against the official tools and nltk, on outputs for real tables."""

import math
import subprocess
import sys
from collections import Counter

import pytest
from nltk.translate.bleu_score import corpus_bleu

from promptgraft import metrics, tasks

# What the E2E challenge's own script (pymteval of e2e-metrics) gives for `written` on the tables of
# the test set, 630 of them; untokenised, without the spaces before "." and "," and behind "£".
E2E_SCRIPT = {"e2e_bleu": 53.33912263801054, "nist": 6.831082403257076}
E2E_SCRIPT_UNTOKENISED = {"e2e_bleu": 52.465936099959706, "nist": 6.716883325957433}


def written(table):
    """A system of one template."""
    fields = dict(field.split(" : ", 1) for field in table.split(" | "))
    kind = " ".join(filter(None, (fields.get("food"), fields.get("Type", "place"))))
    text = f"{fields['name']} is a {kind}"
    for name, words in {
        "area": "in the",
        "near": "near",
        "price": ". Its price range is",
        "customer rating": "and its customer rating is",
    }.items():
        if name in fields:
            text += f" {words} {fields[name]}"
    return text + " ."


def plain(text):
    return text.replace(" .", ".").replace(" ,", ",").replace("£ ", "£")


@pytest.fixture(scope="module")
def e2e():
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PROMPTGRAFT_DATA", raising=False)
        task = tasks.load("e2e")
        rows = task.rows("test")
        return [written(row["source"]) for row in rows], [task.references(row) for row in rows]


def value(name, predictions, references):
    return metrics.score([name], predictions, references)[name]


def test_bleu_and_nist_are_those_of_the_e2e_script(e2e):
    outputs, references = e2e
    assert metrics.score(E2E_SCRIPT, outputs, references) == pytest.approx(E2E_SCRIPT)
    outputs = [plain(text) for text in outputs]
    references = [[plain(text) for text in row] for row in references]
    found = metrics.score(E2E_SCRIPT_UNTOKENISED, outputs, references)
    assert found == pytest.approx(E2E_SCRIPT_UNTOKENISED)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_bleu_n_is_that_of_nltk(e2e, order):
    outputs, references = e2e[0][:60], e2e[1][:60]
    expected = corpus_bleu(
        [[text.split() for text in row] for row in references],
        [text.split() for text in outputs],
        weights=[1 / order] * order,
    )
    assert value(f"bleu{order}", outputs, references) == pytest.approx(100 * expected)


@pytest.mark.parametrize(
    ("name", "options"),
    [("chrf", ["-m", "chrf", "--chrf-word-order", "2"]), ("ter", ["-m", "ter"])],
)
def test_chrf_and_ter_are_those_of_sacrebleu(tmp_path, e2e, name, options):
    outputs = e2e[0][:20]
    references = [row[:3] if len(row) >= 3 else row[:1] * 3 for row in e2e[1][:20]]
    files = [tmp_path / f"references{number}" for number in range(3)]
    for number, file in enumerate(files):
        file.write_text("".join(row[number] + "\n" for row in references))
    done = subprocess.run(
        [sys.executable, "-m", "sacrebleu", *files, *options, "--score-only", "--width", "6"],
        input="\n".join(outputs) + "\n",
        capture_output=True,
        text=True,
        check=True,
    )
    assert value(name, outputs, references) == pytest.approx(float(done.stdout), abs=1e-5)


def test_rows_may_have_different_numbers_of_references():
    """A reference that stands there twice changes nothing, but for TER's mean length."""
    outputs, once = ["a b c d e", "a cat"], [["a b c d f", "b c d"], ["the cat"]]
    twice = [once[0], once[1] * 2]
    for name in ("bleu", "e2e_bleu", "bleu2", "chrf", "ter"):
        assert value(name, outputs, once) == pytest.approx(value(name, outputs, twice))
    assert value("ter", ["a b"], [["a b"]]) == 0
    assert value("ter", ["a b c d e"], [["x"]]) == 500


def literal_nist(outputs, references):
    """Doddington 2002, Equation 3 with lengths in place of counts of segments, as loops."""
    texts = [text for row in references for text in row]
    total = 0.0
    for size in range(1, 6):
        known = Counter(gram for text in texts for gram in grams(text, size))
        shorter = Counter(gram for text in texts for gram in grams(text, size - 1))
        gain = 0.0
        for output, row in zip(outputs, references, strict=True):
            for gram, count in Counter(grams(output, size)).items():
                most = max(Counter(grams(text, size))[gram] for text in row)
                before = shorter[gram[:-1]] if size > 1 else sum(known.values())
                if most:
                    gain += min(count, most) * math.log2(before / known[gram])
        possible = sum(len(grams(output, size)) for output in outputs)
        total += gain / possible if possible else 0
    usual = sum(sum(len(text.split()) for text in row) / len(row) for row in references)
    ratio = min(1, sum(len(output.split()) for output in outputs) / usual)
    return total * math.exp(math.log(0.5) / math.log(1.5) ** 2 * math.log(ratio) ** 2)


def grams(text, size):
    words = text.split()
    return [tuple(words[i : i + size]) for i in range(len(words) - size + 1)] if size else []


def test_nist_is_its_formula():
    outputs = ["a b c a b", "b c", "a d e f a d"]
    references = [["a b c d", "b c a b"], ["b c d e f g"], ["a d e f", "f a d", "a d"]]
    assert value("nist", outputs, references) == pytest.approx(literal_nist(outputs, references))
    # two thirds of the length is worth half
    whole = value("nist", ["a b c"], [["a b c"]])
    assert value("nist", ["a b"], [["a b c"]]) < whole
    assert value("nist", [""], [["a b c"]]) == 0
