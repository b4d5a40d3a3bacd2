"""`promptgraft sweep`: the list of jobs, the table, and what failed."""

import json

import pytest
import yaml

from conftest import tiny

BASE = {
    "model": "./gpt2",
    "task": "tables.jsonl",
    "steps": 4,
    "batch_size": 4,
    "length": 3,
    "dtype": "float32",
    "decoding": {"max_new_tokens": 3},
}


@pytest.fixture
def run(tmp_path, monkeypatch, command):
    model = tiny("gpt2")
    model.save(tmp_path / "gpt2")
    rows = [{"source": f"name : {n}", "target": f"{n} is French ."} for n in range(40)]
    (tmp_path / "tables.jsonl").write_text("\n".join(map(json.dumps, rows)))
    file = {"base": BASE, "grid": {"lr": [0.01, 1e30], "seed": [0, 1]}}
    (tmp_path / "rates.yaml").write_text(yaml.safe_dump(file))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PROMPTGRAFT_LIBRARY", str(tmp_path / "library"))
    return command


def test_jobs_table_and_failures(run, tmp_path):
    code, out, _ = run("sweep", "rates.yaml", "--dry-run")
    assert code == 0
    head, *jobs = [line.split() for line in out.splitlines()]
    assert head == ["LR", "SEED", "RUN"]
    assert [job[:2] for job in jobs] == [
        ["0.01", "0"],
        ["0.01", "1"],
        ["1e+30", "0"],
        ["1e+30", "1"],
    ]
    assert not (tmp_path / "sweeps").exists()

    code, out, err = run("sweep", "rates.yaml")
    assert code == 1
    assert "2 of 4 jobs failed:\n  lr=1e+30 seed=0: The loss" in err
    assert [line for line in err.splitlines() if line.startswith("done")] == [
        "done    lr=0.01 seed=0", "done    lr=0.01 seed=1"
    ]  # fmt: skip
    head, good, bad, _, table, _ = out.splitlines()
    assert head.split()[:3] == ["LR", "VALIDATION", "LOSS"]
    assert good.startswith("0.01")
    assert bad.split() == ["1e+30", "0"]
    (tmp_path / table.split()[1]).read_text()

    code, out, _ = run("sweep", "rates.yaml", "--dry-run")
    assert [line.split()[2] == "done" for line in out.splitlines()[1:]] == [
        True,
        True,
        False,
        False,
    ]
    listed = json.loads(run("sweep", "rates.yaml", "--dry-run", "--json")[1])
    assert [job["done"] for job in listed] == [True, True, False, False]
    names = [line.split()[0] for line in run("ls")[1].splitlines()[1:]]
    assert len(names) == 2
    assert all(name.startswith("tables@gpt2:rates-") for name in names)
