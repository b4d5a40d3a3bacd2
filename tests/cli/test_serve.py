"""`promptgraft serve`: who may listen where, keys, and an end that loses no answer."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import httpx
import pytest
import yaml
from typer.testing import CliRunner

from conftest import tiny
from promptgraft.cli import app
from serving.libraries import filled

MAIN = "from promptgraft.cli import main; main()"
LONG = 250  # tokens: seconds of work for a tiny model


def test_without_keys_only_this_machine():
    found = CliRunner().invoke(app, ["serve", "--model", "x", "--host", "0.0.0.0"])
    assert found.exit_code != 0
    assert "Without --keys" in str(found.exception)


def test_a_new_key_is_shown_once_and_its_hash_kept():
    found = CliRunner().invoke(app, ["serve", "--new-key", "alice"])
    (entry,) = yaml.safe_load(found.stdout)
    assert entry["name"] == "alice"
    assert "pg-" not in found.stdout


def is_ready(url):
    try:
        return httpx.get(f"{url}/readyz", verify=False).status_code == 200  # certificates take long
    except httpx.TransportError:  # nobody listens, or who did has just stopped to
        return False


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM")
def test_sigterm_takes_no_more_and_finishes_what_is_there(tmp_path):
    model = tiny("gpt2", n_positions=1024)
    folder = tmp_path / "model"
    model.save(folder)
    from promptgraft.models import FrozenModel

    library = filled(FrozenModel.load(str(folder), dtype="float32"), tmp_path / "library")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-c", MAIN, "serve", "--model", str(folder), "--port",
               str(port), "--library", str(library.path)]  # fmt: skip
    server = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"})
    try:
        while not is_ready(url):
            assert server.poll() is None, "it ended at once"
            time.sleep(0.1)
        begun, answers = threading.Barrier(4), {}

        def ask(number):
            body = {"model": f"soft{number}@tiny", "prompt": "the film", "max_tokens": LONG,
                    "temperature": 1.0, "seed": number, "stream": True}  # fmt: skip
            with httpx.stream("POST", f"{url}/v1/completions", json=body, timeout=120) as answer:
                lines = answer.iter_lines()
                found = [next(lines)]
                begun.wait()
                answers[number] = found + list(lines)

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        begun.wait(60)
        server.send_signal(signal.SIGTERM)
        while is_ready(url):
            time.sleep(0.05)
        assert not answers, "they were done before it took no more; the test shows nothing"
        with pytest.raises(httpx.TransportError):
            httpx.get(f"{url}/readyz")
        for thread in threads:
            thread.join(120)
        assert server.wait(60) in (0, -signal.SIGTERM)
    finally:
        server.kill()
    for lines in answers.values():
        *_, last, done = [line.removeprefix("data: ") for line in lines if line]
        assert done == "[DONE]"
        assert json.loads(last)["choices"][0]["finish_reason"] in ("stop", "length")
    assert len(answers) == 3
