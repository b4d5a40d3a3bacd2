"""Summaries, questions, paraphrases, neutral style, stories: a few rows in each official form."""

import json

import pytest

from promptgraft import tasks
from promptgraft.errors import ConfigError, DataError
from promptgraft.tasks import published
from promptgraft.tasks.published.summaries import category
from writing import put


def pairs(rows):
    return [(row["source"], row["target"]) for row in rows]


@pytest.mark.parametrize(
    ("name", "source", "target"),
    [
        ("xsum", "train.source", "train.target"),
        ("cnn_dailymail", "train.source", "train.target"),
        ("multi_news", "train.src.txt", "train.tgt.txt"),
        ("msnews", "train.src", "train.tgt"),
        ("gigaword", "train.article.txt", "train.title.txt"),
        ("squad_qg", "src-train.txt", "tgt-train.txt"),
        ("wnc", "pre.train", "post.train"),
        ("writingprompts", "train.wp_source", "train.wp_target"),
    ],
)
def test_two_files_side_by_side(data, name, source, target):
    put(data / name / "deeper" / source, "one\ntwo \nthree\n")
    put(data / name / "deeper" / target, "1\n2\n3\n")
    put(data / name / "deeper" / source.replace("train", "test"), "four\n")
    put(data / name / "deeper" / target.replace("train", "test"), "4\n")
    task = tasks.load(name)
    assert task.name == name
    rows = task.rows("train") + task.rows("validation")
    assert sorted(pairs(rows)) == [("one", "1"), ("three", "3"), ("two", "2")]
    assert task.references(task.rows("test")[0]) == ["4"]


def test_two_files_of_unequal_length(data):
    put(data / "xsum" / "train.source", "one\ntwo\n")
    put(data / "xsum" / "train.target", "1\n")
    with pytest.raises(DataError, match=r"train\.target ends before line 2"):
        tasks.load("xsum", validation=str(data / "xsum" / "train.source")).rows("train")
    (data / "xsum" / "train.target").unlink()
    with pytest.raises(DataError, match="needs the file of its outputs beside it"):
        tasks.load("xsum")


def test_xsum_as_its_authors_give_it(data):
    """The list of splits beside the articles, one to a file."""
    lists = {"train": ["11", "12"], "validation": ["13"], "test": ["14"]}
    put(data / "xsum" / "XSum-TRAINING-DEV-TEST-SPLIT-90-5-5.json", lists)
    for number in range(11, 15):
        put(
            data / "xsum" / "bbc-summary-data" / f"{number}.summary",
            f"[SN]URL[SN]\nhttp://web.archive.org/web/2010/http://www.bbc.co.uk/sport/x/{number}\n\n"
            f"[SN]TITLE[SN]\nT\n\n[SN]FIRST-SENTENCE[SN]\nShort {number}.\n\n"
            "[SN]RESTBODY[SN]\nLong one.\nLong two.\n",
        )
    task = tasks.load("xsum")
    assert pairs(task.rows("train")) == [
        ("Long one. Long two.", "Short 11."),
        ("Long one. Long two.", "Short 12."),
    ]
    assert task.rows("test")[0]["category"] == "sport"
    (data / "xsum" / "bbc-summary-data" / "13.summary").unlink()
    with pytest.raises(DataError, match="article 13 has no file"):
        tasks.load("xsum").rows("validation")


def test_sections_of_bbc_addresses():
    assert category("http://www.bbc.co.uk/news/uk-scotland-123") == "uk"
    assert category("http://web.archive.org/web/1id_/https://www.bbc.com/news/health-9") == "health"
    assert category("http://example.org/sport") == ""


def test_a_story_of_cnn(data):
    text = "First part.\n\nSecond part.\n\n@highlight\n\nOne\n\n@highlight\n\nTwo\n"
    put(data / "cnn_dailymail" / "train" / "a.story", text)
    put(data / "cnn_dailymail" / "test" / "b.story", text)
    (row,) = tasks.load("cnn_dailymail").rows("test")
    assert pairs([row]) == [("First part. Second part.", "One Two")]


def test_newsroom_summary_and_headline(data):
    line = json.dumps({"text": "Long\n\ntext.", "summary": "Short.", "title": "Head"}) + "\n"
    for name in ("newsroom", "newsroom_headline"):
        put(data / name / "train.jsonl", line * 2)
        put(data / name / "test.jsonl", line)
    assert pairs(tasks.load("newsroom").rows("test")) == [("Long text.", "Short.")]
    assert pairs(tasks.load("newsroom_headline").rows("test")) == [("Long text.", "Head")]


def test_squad(data):
    def question(text, answers):
        spans = [{"text": answer, "answer_start": 0} for answer in answers]
        return {"id": "1", "question": text, "answers": spans}

    asked = [question("Where ? ", ["Lourdes", "in Lourdes"]), question("Why?", [])]
    paragraph = {"context": "It is in\nLourdes.", "qas": asked}
    content = {"version": "1.1", "data": [{"title": "T", "paragraphs": [paragraph]}]}
    put(data / "squad_qg" / "train-v1.1.json", content)
    put(data / "squad_qg" / "dev-v1.1.json", content)
    task = tasks.load("squad_qg")
    assert pairs(task.rows("train")) == [("Lourdes [SEP] It is in Lourdes.", "Where ?")]
    hub = {"context": "It is in\nLourdes.", "question": "Where ?", "answers": {"text": ["Lourdes"]}}
    (row,) = published.get("squad_qg").rows("hub", hub, True)
    assert row["source"] == task.rows("train")[0]["source"]
    del paragraph["context"]
    put(data / "squad_qg" / "dev-v1.1.json", content)
    with pytest.raises(DataError, match=r"dev-v1\.1\.json, article 1: no 'context'"):
        tasks.load("squad_qg").rows("validation")


def test_quora(data):
    head = "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n"
    rows = '0\t1\t2\tWhat is "it"?\tWhat\'s it?\t1\n1\t3\t4\tHow?\tWhen?\t0\n2\t5\t6\tA?\tB?\t1\n'
    put(data / "quora_paraphrase" / "train.tsv", head + rows)
    put(data / "quora_paraphrase" / "dev.tsv", head + rows)
    task = tasks.load("quora_paraphrase")
    assert pairs(task.rows("train")) == [('What is "it"?', "What's it?"), ("A?", "B?")]
    put(data / "quora_paraphrase" / "dev.tsv", head + "0\t1\t2\n")
    with pytest.raises(DataError, match=r"dev\.tsv, line 2: 3 values, expected id, qid1"):
        tasks.load("quora_paraphrase").rows("validation")


def test_neutral_style_takes_the_raw_texts(data):
    line = '12\tso "great" .\tso .\tSo "great".\tSo.\tADV\tadvmod\n'
    for split in ("train", "dev", "test"):
        put(data / "wnc" / "WNC" / f"biased.word.{split}", line)
    task = tasks.load("wnc")
    assert pairs(task.rows("train")) == [('So "great".', "So.")]
    assert [len(task.rows(split)) for split in tasks.SPLITS] == [1, 1, 1]


def test_rows_that_are_ready_come_before_official_files(data):
    put(data / "wnc" / "train.jsonl", '{"source": "a", "target": "b"}\n' * 2)
    put(data / "wnc" / "dev.jsonl", '{"source": "a", "target": "b"}\n')
    put(data / "wnc" / "biased.word.train", "1\ta\tb\tc\td\te\tf\n")
    assert pairs(tasks.load("wnc").rows("validation")) == [("a", "b")]


def test_unknown_formats_and_folders_without_the_files(data):
    with pytest.raises(ConfigError, match="Did you mean 'webnlg'"):
        tasks.load(data, format="webnlgg")
    (data / "empty").mkdir()
    with pytest.raises(
        DataError, match=r"empty has none of the files .*trainset\.csv, devset\.csv"
    ):
        tasks.load(data / "empty", format="e2e")
    with pytest.raises(
        DataError, match="its official files, or load it from the hub with hub:Yale"
    ):
        tasks.load("dart")
