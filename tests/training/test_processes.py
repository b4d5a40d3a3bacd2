"""Two processes, one prompt: the same result as one process."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from toy import a_run

TESTS = Path(__file__).parent.parent
CODE = """
import os, sys
from pathlib import Path
sys.path[:0] = {tests}
import torch
from safetensors.torch import save_file
from toy import a_run
module, _ = a_run(Path("{folder}"), **{settings})
if os.environ["RANK"] == "0":
    save_file(dict(module.state_dict()), "{folder}/result.safetensors")
torch.distributed.destroy_process_group()
"""


@pytest.mark.parametrize("module", ["direct", "mlp"])
def test_two_processes_equal_one(tmp_path, module):
    settings = {"kind": "gpt2", "module": module, "steps": 5, "batch_size": 9}
    alone, _ = a_run(tmp_path / "alone", **settings)
    script = tmp_path / "child.py"
    folder = tmp_path / "pair"
    script.write_text(CODE.format(tests=[str(TESTS)], folder=folder, settings=settings))
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--standalone"]
    subprocess.run([*launch, str(script)], check=True, timeout=300)
    paired = load_file(folder / "result.safetensors")
    for name, tensor in alone.state_dict().items():
        torch.testing.assert_close(paired[name], tensor, rtol=1e-5, atol=1e-5)
