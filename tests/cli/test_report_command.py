"""report on the command line: a real run and the library that it filled."""

import json

from conftest import tiny
from promptgraft import api
from promptgraft.library import Library


def test_the_page_of_a_run_and_of_its_library(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = tiny("gpt2")
    rows = [{"source": f"name : {n}", "target": f"{n} is <b>French</b> ."} for n in range(40)]
    (tmp_path / "tables.jsonl").write_text("\n".join(map(json.dumps, rows)))
    tuned = api.tune(
        model=model,
        task="tables.jsonl",
        library=Library("library"),
        out="run",
        steps=2,
        batch_size=2,
        evaluate_every=1,
        evaluate_rows=2,
        length=2,
        test_rows=3,
        decoding={"max_new_tokens": 3},
    )
    inputs = [sample["inputs"] for sample in tuned.summary["test"]["samples"]]
    assert len(inputs) == 3
    assert {tuple(one) for one in inputs} == {("source",)}

    assert command("report", "run")[:2] == (0, "report.html\n")
    page = (tmp_path / "report.html").read_text()
    for expected in (inputs[0]["source"], "is &lt;b&gt;French&lt;/b&gt; .", "training loss, nats"):
        assert expected in page
    assert command("report", "library", "--out", "deep/page.html")[:2] == (0, "deep/page.html\n")
    assert tuned.name in (tmp_path / "deep/page.html").read_text()
    code, _, err = command("report", "nothing")
    assert (code, err) == (
        1,
        "promptgraft: nothing is no folder; expected a run's or a library's.\n",
    )
