"""Two copies on a local Ray cluster: prompts at home on one each, one killed under load, an end
that loses no answer."""

import json
import os
import re
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import psutil
import pytest
import yaml

from conftest import tiny
from promptgraft.models import FrozenModel
from promptgraft.serving import Engine, Request
from promptgraft.serving.keys import new_key
from serving.libraries import filled

pytest.importorskip("ray")

TEXTS = ["the film is", "a dull story", "name : The Eagle", "good or bad ?"]
NAMES = [f"soft{number}@tiny" for number in range(6)]
LONG = 150  # tokens, so that there is something to interrupt
FEW = 3  # requests a minute that Bob may make
ALICE, BOB = new_key("alice"), new_key("bob")


def head(key):
    return {"authorization": f"Bearer {key[0]}"}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ray")
    model = tiny("gpt2", n_positions=1024)
    model.save(folder / "model")
    loaded = FrozenModel.load(str(folder / "model"), dtype="float32")
    return folder / "model", loaded, filled(loaded, folder / "library")


@pytest.fixture(scope="module")
def url(place):
    patch = pytest.MonkeyPatch()
    # Other tests would leave such processes next to nothing, and Ray give them up meanwhile.
    patch.setenv("RAY_worker_niceness", "0")
    patch.setenv("RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S", "60")
    from promptgraft.serving.on_ray import deploy, withdraw

    folder, _, library = place
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    engine = {"rows": 8, "waiting": 200, "prompt_bytes": 2**24}
    (alice,), (bob,) = (yaml.safe_load(entry) for _, entry in (ALICE, BOB))
    keys = folder.parent / "keys.yaml"
    keys.write_text(yaml.safe_dump([alice, bob | {"requests_per_minute": FEW}]))
    try:
        deploy(str(folder), "float32", library.path, keys, "local", 2, "127.0.0.1", port, engine)
        yield f"http://127.0.0.1:{port}"
    finally:
        withdraw()
        patch.undo()


def bodies(count):
    """Every combination of prompts and texts, and so on; every other one as a stream."""
    return [
        {
            "model": NAMES[number % len(NAMES)],
            "prompt": TEXTS[number // len(NAMES) % len(TEXTS)],
            "max_tokens": LONG,
            "temperature": 1.0,
            "seed": number,
            "stream": number % 2 == 0,
        }
        for number in range(count)
    ]


def ask(url, body):
    """The text, and the identifiers that its parts carry."""
    where = f"{url}/v1/completions"
    with httpx.stream("POST", where, json=body, timeout=300, headers=head(ALICE)) as answer:
        lines = list(answer.iter_lines())
    assert answer.status_code == 200, lines
    if not body["stream"]:
        (parts,) = [[json.loads("\n".join(lines))]]
    else:
        *said, done = [line.removeprefix("data: ") for line in lines if line]
        assert done == "[DONE]"
        parts = [json.loads(one) for one in said]
        finished = [part["choices"][0]["finish_reason"] for part in parts]
        assert [reason is not None for reason in finished] == [False] * (len(parts) - 1) + [True]
    return "".join(part["choices"][0]["text"] for part in parts), {part["id"] for part in parts}


def expected(place, asked):
    _, model, library = place
    engine = Engine(model, library)
    tickets = [
        engine.submit(
            Request(
                source=body["prompt"],
                prompt=body["model"],
                max_new_tokens=LONG,
                temperature=1.0,
                seed=body["seed"],
            )
        )
        for body in asked
    ]
    engine.run_until_done()
    return [ticket.text() for ticket in tickets]


def copies():
    """The processes of the copies."""
    found = []
    for process in psutil.Process().children(recursive=True):
        if "ServeReplica:promptgraft:Replica" in " ".join(process.cmdline()):
            found.append(process.pid)
    return found


def prompts_beside(name):
    """How many prompts there are in the copy that a request with this one is sent to."""
    from ray import serve

    handle = serve.get_deployment_handle("Replica", "promptgraft")
    scope = {"type": "http", "method": "GET", "path": "/metrics", "headers": [],
             "http_version": "1.1", "query_string": b"", "scheme": "http"}  # fmt: skip
    said = handle.options(method_name="answer", stream=True, multiplexed_model_id=name)
    text = b"".join(message.get("body", b"") for message in said.remote(scope, b"")).decode()
    return float(re.search(r"^promptgraft_prompts (.*)$", text, re.MULTILINE)[1])


def test_each_prompt_is_in_one_copy(url):
    for _ in range(3):
        for body in bodies(len(NAMES)):
            ask(url, body | {"max_tokens": 1})
            time.sleep(0.5)  # until Ray has heard of it
    beside = [prompts_beside(name) for name in NAMES]
    # Of n prompts in a copy each is one nth of it; were all of them in both, it would add up to 1.
    assert sum(1 / number for number in beside) == pytest.approx(2)


def test_an_allowance_is_one_for_all_copies(url):
    """The prompts are at home in both."""
    few = {"prompt": "a", "max_tokens": 1}
    said = [
        httpx.post(f"{url}/v1/completions", json=few | {"model": name}, headers=head(BOB))
        for name in NAMES
    ]
    assert [answer.status_code for answer in said] == [200] * FEW + [429] * (len(NAMES) - FEW)


def test_one_dies_under_load_and_nothing_is_lost_or_twice(url, place):
    asked = bodies(48)
    with ThreadPoolExecutor(24) as clients:
        answers = [clients.submit(ask, url, body) for body in asked]
        while not any(answer.done() for answer in answers):
            time.sleep(0.01)
        first, *_ = copies()
        os.kill(first, signal.SIGKILL)
        left = sum(not answer.done() for answer in answers)
        found = [answer.result() for answer in answers]
    assert left > 10, "they were done before it died; the test shows nothing"
    assert [text for text, _ in found] == expected(place, asked)
    assert all(len(names) == 1 for _, names in found)
    assert len(set().union(*(names for _, names in found))) == len(asked)


def test_wrong_requests_are_answered_as_ever(url):
    nobody = {"model": "nobody@tiny", "prompt": "a", "max_tokens": 1}
    assert httpx.post(f"{url}/v1/completions", json=nobody).status_code == 401
    asked = httpx.post(f"{url}/v1/completions", json=nobody, headers=head(ALICE))
    assert asked.status_code == 404
    assert httpx.post(f"{url}/v1/completions", content=b"[" * 1000).status_code == 400
    assert httpx.post(f"{url}/v1/completions", content=b" " * 2**21).status_code == 413
    assert httpx.get(f"{url}/readyz").text == "ok"
    listed = httpx.get(f"{url}/v1/models", headers=head(ALICE)).json()["data"]
    assert len(listed) == 9


def test_withdrawn_it_finishes_what_is_there(url, place):
    """The last test: there is no server after it."""
    from promptgraft.serving.on_ray import withdraw

    asked = bodies(8)
    with ThreadPoolExecutor(8) as clients:
        answers = [clients.submit(ask, url, body) for body in asked]
        time.sleep(0.5)
        assert not all(answer.done() for answer in answers), "the test shows nothing"
        end = threading.Thread(target=withdraw)
        end.start()
        assert [answer.result()[0] for answer in answers] == expected(place, asked)
        end.join()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/readyz")
