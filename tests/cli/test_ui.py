"""`promptgraft ui`: where it listens, what it refuses, and that it serves and ends."""

import os
import signal
import socket
import subprocess
import sys

import httpx
import pytest

MAIN = "from promptgraft.cli import main; main()"


def test_who_may_write_is_on_this_machine(command):
    code, out, told = command("ui", "--write", "--host", "0.0.0.0")
    assert (code, out) == (1, "")
    assert "anybody who reaches 0.0.0.0 could fill the disk" in told


def test_without_gradio_it_says_what_to_install(command, monkeypatch):
    for name in list(sys.modules):
        if name.startswith("promptgraft.serving.web"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "gradio", None)
    code, _, told = command("ui")
    assert code == 1
    assert "The page needs gradio: pip install 'promptgraft[ui]'" in told


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
def test_it_serves_until_it_is_stopped(tmp_path):
    pytest.importorskip("gradio", reason="needs gradio: pip install 'promptgraft[ui]'")
    server = subprocess.Popen(
        [sys.executable, "-c", MAIN, "ui", "--port", "0", "--library", str(tmp_path)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        lines = iter(server.stderr.readline, "")
        url = next(line.split()[0] for line in lines if line.startswith("http://127.0.0.1:"))
        answer = httpx.get(url, timeout=60, verify=False)
        assert answer.status_code == 200
        assert '"title":"promptgraft"' in answer.text.replace(" ", "")
        beat = f"{url}/gradio_api/heartbeat/tab"  # what an open tab listens to, without an end
        with httpx.stream("GET", beat, timeout=60, verify=False) as tab:
            assert tab.status_code == 200
            server.send_signal(signal.SIGINT)
            assert server.wait(60) in (0, 130, -signal.SIGINT)
    finally:
        server.kill()


def test_a_port_that_is_taken(command):
    pytest.importorskip("gradio", reason="needs gradio: pip install 'promptgraft[ui]'")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, _, told = command("ui", "--port", port)
    assert code == 1
    assert f"Cannot listen on 127.0.0.1, port {port}" in told
    assert command("ui", "--port", "99999")[0] == 2
