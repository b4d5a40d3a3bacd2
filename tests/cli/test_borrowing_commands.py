"""Transfer across tasks from the shell: tune from a pool, several tasks, cluster, explain."""

import csv
import json
from pathlib import Path

import pytest
import torch

from conftest import tiny
from pools import some_prompts
from promptgraft import tasks
from promptgraft.library import Library
from promptgraft.models import FrozenModel
from promptgraft.prompts import SoftPrompt

QUICK = ["steps=2", "batch_size=4", "evaluate_every=2", "dtype=float32", "--model", "./t5"]
WORDS = "verbalizer={0: bad, 1: good}"


@pytest.fixture
def run(tmp_path, monkeypatch, capsys, command):
    """Run a command in a folder with a model, two data sets and a library of four sources."""
    model = tiny("t5")
    model.save(tmp_path / "t5")
    for name in ("films", "stars"):
        lines = [f"{('the film', 'a story')[n % 2]} {'far ' * n},{n % 2}" for n in range(40)]
        (tmp_path / f"{name}.csv").write_text("text,label\n" + "\n".join(lines))
    loaded = FrozenModel.load(str(tmp_path / "t5"), dtype="float32")
    library = Library(tmp_path / "library")
    base = [prompt.vectors for prompt in some_prompts(loaded, 2).values()]
    for name, prompt in some_prompts(loaded, 4).items():  # a and c are alike, and b and d
        near = base["abcd".index(name[0]) % 2] + 0.01 * torch.randn(3, 16)
        library.add(SoftPrompt(near, prompt.card), f"glue/{name}")
    monkeypatch.setattr("promptgraft.models.loading.CACHE", tmp_path / "cache")
    monkeypatch.setenv("PROMPTGRAFT_LIBRARY", str(library.path))
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    return command


def test_tune_from_a_pool_and_explain(run):
    pool = ("--method", "crosspt", "--pool", "glue/*")
    code, out, err = run("tune", "films.csv", *pool, *QUICK, f"data.{WORDS}")
    assert code == 0, err
    assert "Borrowed" in out
    assert "borrowed.png" in out
    code, out, _ = run("explain", "films@t5", "--json")
    shares = json.loads(out)["shares"]
    assert code == 0
    assert set(shares) == {"private", *(f"glue/{task}@tiny" for task in "abcd")}
    assert sum(shares.values()) == pytest.approx(1, abs=1e-4)
    code, out, _ = run("explain", "films@t5")
    assert out.split()[:2] == ["SHARE", "PROMPT"]


def test_explain_shows_what_single_rows_get(run):
    pool = ("--method", "ptg", "--pool", "glue/*")
    assert run("tune", "films.csv", *pool, *QUICK, f"data.{WORDS}")[0] == 0
    code, out, err = run("explain", "films@t5", "--task", "films.csv", "--rows", "2", "--json")
    assert code == 0, err
    rows = json.loads(out)["rows"]
    assert len(rows) == 2
    assert all(sum(row["shares"].values()) == pytest.approx(1, abs=1e-4) for row in rows)
    assert rows[0]["shares"] != rows[1]["shares"]
    code, out, _ = run("explain", "films@t5", "--task", "films.csv", "--rows", "2")
    assert rows[0]["row"]["text"] in out
    (results,) = Path("runs").glob("*/results.json")
    kept = json.loads(results.read_text())["test"]["samples"][0]["borrowed"]
    assert kept == pytest.approx(rows[0]["shares"], abs=1e-4)
    assert run("report", str(results.parent))[0] == 0
    name, share = max(kept.items(), key=lambda pair: pair[1])
    page = Path("report.html").read_text()
    assert f"<li>{share:.2f} {name}</li>" in page
    with (results.parent / "reliance.csv").open() as stream:
        (relied,) = csv.DictReader(stream)
    assert f"weight times cosine: {float(relied['weighted similarity']):.2f}" in page


@pytest.mark.parametrize(
    ("method", "said"),
    [
        (["mpt"], "a shared prompt times a matrix of rank one that is the task's own"),
        (["dept", "transfer.rank=4"], "a change of rank 4 to the embeddings of the text's first"),
    ],
)
def test_explain_says_what_a_prompt_is_that_mixes_none(run, method, said):
    pool = ("--method", *method, "--pool", "glue/a@tiny")
    assert run("tune", "films.csv", *pool, *QUICK, f"data.{WORDS}")[0] == 0
    code, out, err = run("explain", "films@t5")
    assert code == 0, err
    assert said in out
    assert out.endswith("it started from glue/a@tiny.\n")
    assert said in json.loads(run("explain", "films@t5", "--json")[1])["form"]


def test_several_tasks(run):
    code, out, err = run(
        *("tune", "films.csv", "stars.csv", "--method", "crosspt", *QUICK),
        *("transfer.configuration=SLPN", "task_prefix=true", "sampling=uniform", "length=3"),
        "data={films.csv: {verbalizer: {0: bad, 1: good}}, stars.csv: {verbalizer: {0: a, 1: is}}}",
    )
    assert code == 0, err
    assert out.split()[0] == "films@t5"
    code, out, _ = run("show", "stars@t5", "--json")
    assert code == 0
    assert "stars:" in out
    code, _, err = run("tune", "films.csv", "stars.csv", "--model", "./t5")
    assert code == 1
    assert "one task at a time; several together: attempt, crosspt, mpt" in err


def test_cluster(run):
    code, out, err = run("cluster", "glue/*", "--by", "cosine", "--picture", "clusters.svg")
    assert code == 0, err
    assert out.splitlines() == ["1  glue/a@tiny glue/c@tiny", "2  glue/b@tiny glue/d@tiny"]
    code, out, _ = run("cluster", "glue/*", "-n", "1", "--json")
    assert len(json.loads(out)["clusters"]) == 1
    assert run("cluster", "nothing/*")[0] == 1
    assert "there are euclidean" in run("cluster", "glue/*", "--by", "norm")[2]


def test_norms_do_not_decide_the_clusters_unless_asked_to(run):
    library = Library()
    for name in ("glue/c@tiny", "glue/d@tiny"):
        prompt = library.get(name)
        library.add(SoftPrompt(20 * prompt.vectors, prompt.card), name, replace=True)
    by_direction = ["1  glue/a@tiny glue/c@tiny", "2  glue/b@tiny glue/d@tiny"]
    assert run("cluster", "glue/*", "-n", "2")[1].splitlines() == by_direction
    found = run("cluster", "glue/*", "-n", "2", "--by", "euclidean")[1].splitlines()
    assert found != by_direction


def test_recommend(run):
    """The loss of each prompt is what `FrozenModel.loss` says of the same few rows."""
    words = ("recommend", "films.csv", f"data.{WORDS}", "--model", "./t5", "dtype=float32")
    code, out, err = run(*words, "--pool", "glue/*", "--json", "--few-shot", "4")
    assert code == 0, err
    found = json.loads(out)
    assert len(found) == 4
    assert [one["loss"] for one in found] == sorted(one["loss"] for one in found)
    assert found[0]["similarity"] is None
    model = FrozenModel.load("./t5", dtype="float32")
    task = tasks.load("films.csv", verbalizer={"0": "bad", "1": "good"}).few_shot(4, 0)
    rows = task.rows("train")
    for one in found:
        prompt = Library().get(one["name"])
        answers = [task.answer(row) for row in rows]
        batch = model.collate(model.encode(rows, prompt, task.template("seq2seq"), answers, False))
        assert one["loss"] == pytest.approx(model.loss(batch, prompt).item(), rel=1e-4)
    code, out, err = run(*words, "--few-shot", "4", "--probe-steps", "2")
    assert code == 0, err
    assert out.split()[:3] == ["LOSS", "COSINE", "PROMPT"]


def test_explain_of_a_prompt_that_borrowed_nothing(run):
    code, _, err = run("explain", "glue/a@tiny")
    assert code == 1
    assert "mixed from no other prompts" in err
