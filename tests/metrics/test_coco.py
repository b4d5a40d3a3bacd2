"""METEOR, ROUGE-L and CIDEr of the COCO evaluation: what is said without it, and with it values
against their definitions."""

import math
import shutil
from collections import Counter
from importlib.util import find_spec

import numpy as np
import pytest

from promptgraft import metrics
from promptgraft.errors import ConfigError, PromptgraftError
from promptgraft.metrics import coco

THERE = find_spec("pycocoevalcap") is not None and shutil.which("java") is not None
needed = pytest.mark.skipif(not THERE, reason="needs pycocoevalcap and Java")

OUTPUTS = ["blue spice is a coffee shop in the centre", "the mill serves cheap food"]
REFERENCES = [
    ["a coffee shop in the centre called blue spice", "blue spice is a shop"],
    ["the mill serves italian food", "cheap food by the river is served at the mill"],
]


def value(name, predictions=OUTPUTS, references=REFERENCES):
    return metrics.score([name], predictions, references)[name]


def test_what_is_missing_is_named(monkeypatch):
    monkeypatch.setattr(coco, "find_spec", lambda name: None)
    with pytest.raises(
        ConfigError, match=r"meteor needs the package pycocoevalcap: pip install 'pr"
    ):
        metrics.score(["bleu", "meteor"], OUTPUTS, REFERENCES)
    monkeypatch.setattr(coco, "find_spec", lambda name: name)
    monkeypatch.setattr(coco.shutil, "which", lambda name: None)
    with pytest.raises(ConfigError, match=r"cider needs Java, .*: install a JRE"):
        value("cider")


@needed
def test_rouge_is_its_definition():
    def longest(a, b):
        table = np.zeros((len(a) + 1, len(b) + 1), int)
        for i, x in enumerate(a):
            for j, y in enumerate(b):
                one = table[i, j] + 1 if x == y else max(table[i, j + 1], table[i + 1, j])
                table[i + 1, j + 1] = one
        return table[-1, -1]

    expected = []
    for output, row in zip(OUTPUTS, REFERENCES, strict=True):
        a = output.split()
        precision = max(longest(a, text.split()) / len(a) for text in row)
        recall = max(longest(a, text.split()) / len(text.split()) for text in row)
        expected.append(2.44 * precision * recall / (recall + 1.44 * precision))
    assert value("coco_rougeL") == pytest.approx(100 * np.mean(expected))


def literal_cider(outputs, references):
    """CIDEr-D (Vedantam et al. 2015, section 6): clipped, with a penalty on the length."""
    found = []
    for output, row in zip(outputs, references, strict=True):
        points = 0.0
        for size in range(1, 5):
            for text in row:
                a, b = (tf_idf(x, size, references) for x in (output, text))
                norm = math.sqrt(sum(v * v for v in a.values()) * sum(v * v for v in b.values()))
                shared = sum(min(a[gram], b[gram]) * b[gram] for gram in a if gram in b)
                gap = len(output.split()) - len(text.split())
                points += math.exp(-(gap**2) / 72) * (shared / norm if norm else 0) / len(row)
        found.append(10 * points / 4)
    return np.mean(found)


def tf_idf(text, size, references):
    def grams(text):
        words = text.split()
        return [tuple(words[i : i + size]) for i in range(len(words) - size + 1)]

    def documents(gram):
        return sum(any(gram in grams(one) for one in row) for row in references)

    idf = {
        gram: math.log(len(references)) - math.log(max(1, documents(gram))) for gram in grams(text)
    }
    return {gram: count * idf[gram] for gram, count in Counter(grams(text)).items()}


@needed
def test_cider_is_its_definition():
    assert value("cider") == pytest.approx(literal_cider(OUTPUTS, REFERENCES), rel=1e-4)


@needed
def test_meteor():
    """The same text is not quite 1 in METEOR: one chunk costs a little, less in longer texts."""
    same = value("meteor", OUTPUTS, [[text] for text in OUTPUTS])
    assert 99 < same <= 100
    assert value("meteor", ["zebra"], [["the river"]]) < 5 < value("meteor") < same
    first = metrics.get("meteor").over(OUTPUTS, REFERENCES)(np.array([0]))
    assert first == pytest.approx(value("meteor", OUTPUTS[:1], REFERENCES[:1]))


@needed
def test_a_program_that_died_is_started_again():
    before = value("meteor")
    coco._program().meteor_p.kill()
    coco._program().meteor_p.wait()
    with pytest.raises((OSError, ValueError)):
        value("meteor")
    assert value("meteor") == before


@needed
def test_lines_within_a_text_are_one_text_and_nothing_is_printed(capfd):
    broken = [OUTPUTS[0].replace(" ", "\r", 1), *OUTPUTS[1:]]
    assert value("coco_rougeL", broken) == pytest.approx(value("coco_rougeL"))
    assert capfd.readouterr().err == ""


@pytest.mark.skipif(find_spec("pycocoevalcap") is None, reason="needs pycocoevalcap")
def test_a_tokeniser_that_fails_is_an_error(tmp_path, monkeypatch):
    (tmp_path / "java").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "java").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with pytest.raises(PromptgraftError, match="tokeniser"):
        value("cider", ["another text"], [["which is read once"]])
