"""Two processes tune one prompt as one process does, and only one of them writes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from promptgraft import api, prompts
from promptgraft.errors import ConfigError
from promptgraft.library import Library
from promptgraft.training import processes
from toy import a_run, losses

TESTS = Path(__file__).parent.parent
EXACT = {"rtol": 1e-5, "atol": 1e-5}
RUNS = {
    "masked": {"kind": "bert"},
    "accumulated": {"kind": "gpt2", "accumulate": 2, "batch_size": 6},
    "a row for the first alone": {"kind": "gpt2", "batch_size": 1},
    "by an MLP": {"kind": "gpt2", "module": "mlp", "steps": 5, "batch_size": 9},
    "seq2seq": {"kind": "t5"},
    "moved with noise, near the hull": {"kind": "bert", "noise": 0.1, "hull": 0.1},
}
SETTINGS = {
    "steps": 6,
    "test_rows": 20,
    "evaluate_rows": 20,
    "evaluate_every": 2,
    "dtype": "float32",
}


def two(*command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command in two processes on this machine, by gloo."""
    start = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone"]
    environment = {
        **os.environ,
        "PYTHONPATH": str(TESTS),
        "PROMPTGRAFT_LIBRARY": str(folder / "library"),
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.run(
        [*start, *command], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )


def test_two_processes_end_with_the_prompt_of_one(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import json, sys, torch\n"
        "from pathlib import Path\n"
        "from promptgraft.training import processes\n"
        "from toy import a_run\n"
        "for name, settings in json.loads(sys.argv[1]).items():\n"
        "    module, _ = a_run(Path(name), **settings)\n"
        "    if not processes.first():\n"
        "        torch.save(module.state_dict(), f'{name}.pt')\n"
    )
    done = two(str(script), json.dumps(RUNS), folder=tmp_path)
    assert done.returncode == 0, done.stderr
    for name, settings in RUNS.items():
        one, _ = a_run(tmp_path / "alone" / name, **settings)
        other = torch.load(tmp_path / f"{name}.pt")
        for key, tensor in one.state_dict().items():
            torch.testing.assert_close(other[key], tensor, **EXACT)
        assert losses(tmp_path / name) == pytest.approx(losses(tmp_path / "alone" / name), abs=1e-5)


def test_the_command_line(tmp_path):
    """One prompt in the library, one run folder, one answer on the screen."""
    words = [f"{name}={value}" for name, value in SETTINGS.items()]
    command = ["promptgraft", "tune", "sst2", "--model", "mini/bert-s", "--out", "run", *words]
    done = two("-m", *command, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("accuracy") == 1
    assert done.stderr.count("6/6") == 1
    alone = api.tune(model="mini/bert-s", task="sst2", library=Library(tmp_path / "other"),
                     out=tmp_path / "alone", **SETTINGS)  # fmt: skip
    library = Library(tmp_path / "library")
    assert [entry.name for entry in library.list()] == ["sst2@mini/bert-s"]
    kept = library.get("sst2@mini/bert-s").vectors
    # In all, since Adam divides a gradient that is almost zero by its own size.
    assert (kept - alone.prompt.vectors).norm() <= 1e-5 * kept.norm()
    assert torch.equal(kept, prompts.load(tmp_path / "run").vectors)


def test_what_takes_one_process(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    assert not processes.first()
    with pytest.raises(ConfigError, match="method=auto runs in one process"):
        api.tune(model="mini/bert-s", task="sst2", method="auto", pool="glue/*")
    with pytest.raises(ConfigError, match="several tasks together runs in one process"):
        api.tune_jointly(api.JointConfig(model="mini/bert-s", task="sst2+agnews", method="crosspt"))
