"""What is measured once, and what a mean is worth."""

import json
import subprocess
import sys
import threading

import numpy as np
import pytest

from promptgraft.studies.intervals import difference, mean
from promptgraft.studies.memo import Memo


def test_measured_once_also_by_the_next_process(tmp_path):
    calls = []
    for _ in range(2):
        memo = Memo(tmp_path / "measured.jsonl")
        for _ in range(2):
            assert memo(["a", 1, None], lambda: calls.append(1) or {"x": 0.5}) == {"x": 0.5}
    assert memo(["a", 2, None], lambda: 3) == 3
    assert len(calls) == 1


def test_half_a_line_is_measured_again(tmp_path):
    path = tmp_path / "measured.jsonl"
    memo = Memo(path)
    memo("a", lambda: 1)
    memo("b", lambda: 2)
    path.write_text(path.read_text()[:-3])
    again = Memo(path)
    assert again("a", lambda: 9) == 1
    assert again("b", lambda: 7) == 7
    assert Memo(path)("b", lambda: 0) == 7


WORKER = """
import json, os, sys, time
from pathlib import Path
from promptgraft.studies.memo import Memo

memo = Memo(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()

def measure(number):
    time.sleep(0.1)
    return [number, os.getpid(), "text " * 5000]

found = memo.all([([number], lambda number=number: measure(number)) for number in range(8)])
print(json.dumps([one[:2] for one in found]))
"""


def test_two_processes_share_the_work_and_see_the_same(tmp_path):
    path = tmp_path / "measured.jsonl"
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(path)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for _ in range(2)
    ]  # fmt: skip
    for worker in workers:
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        worker.stdin.write("go\n")
        worker.stdin.flush()
    outputs = [worker.communicate(timeout=60)[0] for worker in workers]
    assert outputs[0] == outputs[1]
    found = json.loads(outputs[0])
    assert [number for number, _ in found] == list(range(8))
    assert {process for _, process in found} == {worker.pid for worker in workers}
    assert len(path.read_text().splitlines()) == 8  # each was measured once


def test_what_a_killed_process_was_measuring_is_measured_by_the_other(tmp_path):
    path = tmp_path / "measured.jsonl"
    program = WORKER.replace("time.sleep(0.1)", "print(number, flush=True) or time.sleep(1000)")
    worker = subprocess.Popen(
        [sys.executable, "-c", program, str(path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    worker.stdin.write("go\n")
    worker.stdin.flush()
    assert [worker.stdout.readline() for _ in range(2)] == ["ready\n", "0\n"]
    memo = Memo(path)
    with memo.alone([0], wait=False) as zero, memo.alone([1], wait=False) as one:
        assert (zero, one) == (False, True)
    threading.Timer(0.5, worker.kill).start()
    assert memo.all([([1], lambda: "one"), ([0], lambda: "zero")]) == ["one", "zero"]
    worker.communicate()


def test_the_interval_covers_as_often_as_it_says():
    """Drawn a few hundred times, the true mean lies inside 95 % intervals about that often."""
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(300):
        groups = rng.normal(5.0, 2.0, 40)
        found = mean([[value] for value in groups])
        inside += found.low <= 5.0 <= found.high
    assert 0.90 <= inside / 300 <= 0.98


def test_groups_are_resampled_whole():
    """Ten copies of a measurement say no more than one."""
    one = [[value] for value in (1.0, 4.0, 2.0, 8.0)]
    assert mean(one) == mean([group * 10 for group in one])


def test_differences_are_paired():
    rng = np.random.default_rng(0)
    base = rng.normal(50.0, 20.0, 40)
    found = difference([[x + 1.0] for x in base], [[x] for x in base])
    assert (found.value, found.low, found.high) == pytest.approx((1.0, 1.0, 1.0))
