"""E2E, WebNLG and DART: official files in, Prefix-Tuning's linearisation out."""

import gzip
import json
import os
from pathlib import Path

import pytest

from promptgraft import tasks
from promptgraft.errors import DataError
from promptgraft.tasks import published
from writing import put

# The first row of E2E's training file, and its line in Prefix-Tuning's released file.
VAULTS = (
    "name[The Vaults], eatType[pub], priceRange[more than £30], "
    "customer rating[5 out of 5], near[Café Adriatic]"
)
VAULTS_LINE = (
    "name : The Vaults | Type : pub | price : more than £ 30 | customer rating : 5 out of 5 "
    "| near : Café Adriatic"
)
AARHUS = """<?xml version="1.0"?>
<benchmark>
  <entries>
    <entry category="Airport" eid="Id1" size="2">
      <originaltripleset>
        <otriple>Aarhus_Airport | city | "Aarhus, Denmark"@en</otriple>
      </originaltripleset>
      <modifiedtripleset>
        <mtriple>Aarhus_Airport | cityServed | "Aarhus, Denmark"</mtriple>
        <mtriple>Aarhus | country | Denmark</mtriple>
      </modifiedtripleset>
      <lex comment="good" lid="Id1">The Aarhus is the airport of Aarhus, Denmark.</lex>
      <lex comment="toFix" lid="Id2">Aarhus, Denmark is served.</lex>
    </entry>
    <entry category="Athlete" eid="Id2" size="1">
      <modifiedtripleset><mtriple>Ada | club | Bees</mtriple></modifiedtripleset>
      <lex comment="good" lid="Id1">Ada &amp; the Bees.</lex>
    </entry>
  </entries>
</benchmark>
"""
AARHUS_LINE = ' | Aarhus_Airport : cityServed : "Aarhus, Denmark" | Aarhus : country : Denmark'
GOOD, TO_FIX = "The Aarhus is the airport of Aarhus, Denmark.", "Aarhus, Denmark is served."
DART = [
    {
        "tripleset": [["Hawaii Five-O", "NOTES", "Episode"], ["[TABLECONTEXT]", "[TITLE]", "Jeff"]],
        "subtree_was_extended": False,
        "annotations": [
            {"source": "WikiTableQuestions_lily", "text": "Jeff played in Hawaii Five-O."},
            {"source": "WikiTableQuestions_mturk", "text": "Jeff was in it."},
        ],
    }
]
DART_LINE = "Hawaii Five-O : notes : Episode | [TABLECONTEXT] : [title] : Jeff"
FULL = os.environ.get("PROMPTGRAFT_DATA")  # rows made from the released files by other means


def e2e(path, rows):
    return put(path, "mr,ref\n" + "".join(f'"{table}","{text}"\n' for table, text in rows))


def test_e2e_by_its_name(data):
    e2e(data / "e2e" / "trainset.csv", [(VAULTS, "One."), (VAULTS, "Two.")])
    other = "name[Cotto], eatType[restaurant], priceRange[£20-25], familyFriendly[no]"
    e2e(data / "e2e" / "devset.csv", [(VAULTS, "One."), (other, "Three."), (VAULTS, "Two.")])
    e2e(data / "e2e" / "testset_w_refs.csv", [(other, "A good one.".replace('"', '""'))])
    task = tasks.load("e2e")
    assert [(row["source"], row["target"]) for row in task.rows("train")] == [
        (VAULTS_LINE, "One."),
        (VAULTS_LINE, "Two."),
    ]
    first, second = task.rows("validation")
    assert task.references(first) == ["One.", "Two."]
    assert second["source"] == (
        "name : Cotto | Type : restaurant | price : £ 20 - 25 | family friendly : no"
    )
    assert "nist" in task.report
    assert tasks.names()["e2e"] == {"train": 2, "validation": 2, "test": 1}


def test_e2e_lines_are_those_of_the_released_file():
    """Every field and value of the sample in the package, from the form it has in the csv."""
    names = {"Type": "eatType", "price": "priceRange", "family friendly": "familyFriendly"}
    seen = {line for split in tasks.SPLITS for line in _sources("e2e", split)}
    assert len(seen) > 1000
    for line in seen:
        fields = [field.split(" : ", 1) for field in line.split(" | ")]
        table = ", ".join(
            f"{names.get(name, name)}[{value.replace('£ ', '£').replace(' - ', '-')}]"
            for name, value in fields
        )
        (row,) = published.get("e2e").rows("here", {"mr": table, "ref": "x"}, True)
        assert row["source"] == line


def _sources(name, split):
    return [row["source"] for row in tasks.load(name).rows(split)]


def test_webnlg_xml(data):
    put(data / "webnlg" / "train" / "2triples" / "Airport.xml", AARHUS)
    put(data / "webnlg" / "dev" / "1triples" / "a.xml", AARHUS)
    put(data / "webnlg" / "test" / "testdata_with_lex.xml", AARHUS)
    task = tasks.load("webnlg")
    assert task.groups == "split_kind"
    first, second = task.rows("train")  # the text that is to be fixed is not learned from
    assert (first["source"], first["target"]) == (AARHUS_LINE, GOOD)
    assert (second["target"], second["split_kind"]) == ("Ada & the Bees.", "unseen")
    first, second = task.rows("test")
    assert task.references(first) == [GOOD, TO_FIX]
    assert (first["split_kind"], first["n_triples"], second["split_kind"]) == ("seen", 2, "unseen")


@pytest.mark.skipif(not FULL, reason="needs the full data: set PROMPTGRAFT_DATA")
@pytest.mark.parametrize(("name", "before"), [("webnlg", " | "), ("dart", "")])
def test_real_rows(name, before):
    """Line by line: the linearisation, the number of triples, and which categories are seen."""
    with gzip.open(Path(FULL) / name / "test.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    checked = 0
    for row in rows:
        triples = [triple.split(" : ") for triple in row["source"].split(" | ")]
        if len(triples) != row["n_triples"] or any(len(triple) != 3 for triple in triples):
            continue  # a value that holds the separators themselves
        record = {
            "webnlg": {
                "category": row["category"],
                "modifiedtripleset": [" | ".join(triple) for triple in triples],
                "lexicalisations": [{"comment": "good", "lex": row["target"]}],
            },
            "dart": {
                "tripleset": [[s, p.upper(), o] for s, p, o in triples],
                "annotations": [{"source": row["category"], "text": row["target"]}],
            },
        }[name]
        (found,) = published.get(name).rows("here", record, False)
        assert found["source"] == before + row["source"]
        shared = ("category", "split_kind", "n_triples")
        assert {k: found.get(k) for k in shared} == {k: row.get(k) for k in shared}
        checked += 1
    assert checked > 0.9 * len(rows)


def test_webnlg_json_and_hub_give_the_same_rows(data):
    triples = [
        {"subject": "Aarhus_Airport", "property": "cityServed", "object": '"Aarhus, Denmark"'},
        {"subject": "Aarhus", "property": "country", "object": "Denmark"},
    ]
    texts = [{"comment": "good", "lex": GOOD}, {"comment": "toFix", "lex": TO_FIX}]
    entry = {"category": "Airport", "modifiedtripleset": triples, "lexicalisations": texts}
    path = put(data / "elsewhere" / "test.json", {"entries": [{"1": entry}]})
    task = tasks.load(path.parent, format="webnlg")
    (row,) = task.rows("test")
    hub = {
        "category": "Airport",
        "modified_triple_sets": {
            "mtriple_set": [[" | ".join(triple.values()) for triple in triples]]
        },
        "lex": {"comment": ["good", "toFix"], "lid": ["a", "b"], "text": [GOOD, TO_FIX]},
    }
    form = published.get("webnlg")
    (same,) = form.rows("hub", hub, False)
    assert row == same | {"target": GOOD}
    assert row["source"] == AARHUS_LINE
    (trained,) = form.of(lambda: iter([("hub", hub)]), "hub", "train")()
    assert trained[1]["target"] == GOOD


def test_dart_json_and_xml(data):
    put(data / "dart" / "dart-v1.1.1-full-train.json", DART)
    put(data / "dart" / "dart-v1.1.1-full-dev.json", DART)
    xml = (
        '<entry category="MISC" eid="Id1"><modifiedtripleset><mtriple>Hawaii Five-O | NOTES | '
        "Episode</mtriple><mtriple>[TABLECONTEXT] | [TITLE] | Jeff</mtriple></modifiedtripleset>"
        '<lex comment="WikiTableQuestions_lily" lid="Id1">Jeff played in Hawaii Five-O.</lex>'
        "</entry>"
    )
    put(
        data / "dart" / "dart-v1.1.1-full-test.xml",
        f"<benchmark><entries>{xml}</entries></benchmark>",
    )
    task = tasks.load("dart")
    assert [row["target"] for row in task.rows("train")] == [
        "Jeff played in Hawaii Five-O.",
        "Jeff was in it.",
    ]
    (row,) = task.rows("test")
    assert row["source"] == DART_LINE == task.rows("train")[0]["source"]
    assert row["category"] == "WikiTableQuestions_lily"
    assert task.references(task.rows("validation")[0]) == [
        "Jeff played in Hawaii Five-O.",
        "Jeff was in it.",
    ]


@pytest.mark.parametrize(
    ("name", "file", "content", "message"),
    [
        ("webnlg", "test.xml", AARHUS.replace("</lex>", "", 1), "line 14: not XML"),
        ("webnlg", "test.xml", AARHUS.replace(' category="Airport"', ""), "line 4: no 'category'"),
        ("webnlg", "test.xml", AARHUS.replace("Ada | club", "Ada club"), "line 15: expected subj"),
        (
            "webnlg",
            "test.xml",
            AARHUS.replace("Ada &amp; the Bees.", " "),
            "line 15: one of the 1 ref",
        ),
        ("webnlg", "test.json", '{"entries": [\n{"1": }]}', "line 2: not JSON"),
        ("webnlg", "test.json", {"entries": [{"1": {"category": "x"}}]}, "entry 1: no 'tripleset'"),
        ("dart", "test.json", [DART[0] | {"annotations": []}], "entry 1: 'references' is"),
        ("dart", "test.json", [DART[0] | {"tripleset": [["a", "b"]]}], r"entry 1: .*\['a', 'b'\]"),
        ("e2e", "test.csv", "mr,ref\nname[A],x\nname(B),y\n", r"line 3: expected fields .*name\(B"),
        ("e2e", "test.csv", "mr,text\nname[A],x\n", "line 2: no 'ref' or 'human_reference'"),
        ("e2e", "test.csv", "mr,ref\nname[A],\n", "line 2: one of the 1 references is empty"),
    ],
)
def test_damage_is_named_with_file_and_place(tmp_path, name, file, content, message):
    whole = {"webnlg": AARHUS, "dart": DART, "e2e": "mr,ref\nname[A],x\n"}[name]
    ending = {"webnlg": "xml", "dart": "json", "e2e": "csv"}[name]
    good = put(tmp_path / f"good.{ending}", whole)
    path = put(tmp_path / file, content)
    with pytest.raises(DataError, match=message) as error:
        tasks.load(good, format=name, validation=good, test=path).rows("test")
    assert str(path) in str(error.value)
