"""Tiny models in folders, and facts about nothing for them to be asked."""

import gzip

import pytest

from conftest import tiny
from writing import put_rows

OBJECTS = ["good", "bad", "great", "fun"]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with models bert, albert and gpt2, and the data folder set to facts of P19, P20."""
    for kind in ("bert", "albert", "gpt2"):
        tiny(kind).save(tmp_path / kind)
    data = tmp_path / "data" / "lama"
    for number, relation in enumerate(("P19", "P20")):
        for split, count in (("train", 24), ("validation", 8), ("test", 8)):
            rows = [
                {"sub_label": f"film {n}", "obj_label": OBJECTS[(n + number) % 4]}
                for n in range(count)
            ]
            put_rows(data / relation / f"{split}.jsonl.gz", rows)
    wordings = [{"relation": r, "template": "[X] is [Y] ."} for r in ("P19", "P20")]
    put_rows(data / "meta" / "LAMA_relations.jsonl.gz", wordings)
    with gzip.open(data / "meta" / "common_vocab_cased.txt.gz", "wt") as lines:
        lines.write("\n".join([*OBJECTS, "is", "wonderful", "nowhere"]))
    monkeypatch.setenv("PROMPTGRAFT_DATA", str(tmp_path / "data"))
    monkeypatch.setattr("promptgraft.models.loading.CACHE", tmp_path / "cache")
    monkeypatch.chdir(tmp_path)
    return tmp_path
