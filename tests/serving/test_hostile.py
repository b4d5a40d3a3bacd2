"""Whatever is sent: an answer or a refusal in one line, and afterwards everything is as before."""

import contextlib
import json
import random
import socket
import threading
import time

import httpx
import pytest
import schemathesis
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from conftest import tiny
from promptgraft.errors import PromptgraftError
from promptgraft.serving import Engine, Request
from promptgraft.serving.bodies import Limits
from promptgraft.serving.http import Server
from promptgraft.serving.keys import Keys, new_key
from serving.libraries import filled
from serving.running import Running

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance,
          response_schema_conformance]  # fmt: skip
FEW = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    database=None,
)
LIMITS = Limits(body_bytes=20_000, body_seconds=1.0, new_tokens=8, rows=4, seconds=20.0)
ORDINARY = {"model": "soft1@tiny", "prompt": "the film", "max_tokens": 5}
KNOWN = [  # what a case says is put in place of what was made up, so that work is done too
    {"model": "soft1@tiny", "prompt": "the film", "max_tokens": 3, "input": ["good"],
     "words": ["good", "bad"], "choices": ["good", "bad"]},
    {"model": "soft1@tiny"},
    {},
]  # fmt: skip
NAMES = ["../../etc/passwd", "a@b/../../c", "soft1@tiny/../../x", "a@b\0", "..", "%2e%2e%2f@x",
         "\\\\host\\share@x", "a@" + "b" * 400, "C:@x", "*@*", "soft?@tiny", "~root@x", "a@b:c:d",
         "\ud800@x", "-rf@x", "soft1@tiny\n", "' OR 1=1 --@x"]  # fmt: skip


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    """A causal and a masked model's server: between them every endpoint does its work."""
    with contextlib.ExitStack() as stack:
        found = {}
        for kind in ("gpt2", "bert"):
            model = tiny(kind)
            library = filled(model, tmp_path_factory.mktemp(kind))
            server = Server(model, library, limits=LIMITS, rows=4)
            found[kind] = stack.enter_context(Running(server))
        yield found


def refused(answer):
    """A refusal has a status in the four hundreds and one line."""
    assert 400 <= answer.status_code < 500, answer.text
    said = answer.json()["error"]["message"]
    assert said
    assert "\n" not in said
    assert len(said) <= 501
    return said


def operations(running):
    schema = schemathesis.openapi.from_url(f"{running.url}/openapi.json")
    return [found.ok() for found in schema.get_all_operations()]


def fuzz(operation, mode):
    """Send cases of an operation; returns the statuses that came back."""
    statuses = set()

    @FEW
    @given(case=operation.as_strategy(generation_mode=mode), known=st.sampled_from(KNOWN))
    def check(case, known):
        if isinstance(case.body, dict):
            case.body |= {name: known[name] for name in case.body.keys() & known.keys()}
            if "prompt" in known and "prompt" in case.body:
                case.body.pop("row", None)
        answer = case.call(timeout=30)
        statuses.add(answer.status_code)
        case.validate_response(answer, checks=CHECKS)
        if answer.status_code >= 400:
            refused(answer)

    check()
    return statuses


@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.parametrize("kind", ["gpt2", "bert"])
def test_the_app_keeps_its_own_openapi(servers, kind, mode):
    running = servers[kind]
    ordinary = dict(ORDINARY) if kind == "gpt2" else {"model": "soft1@tiny", "input": "good"}
    path = "/v1/completions" if kind == "gpt2" else "/v1/classify"
    working = [path] if kind == "gpt2" else [path, "/v1/fill"]
    before = running.post(path, **ordinary).json()
    for operation in operations(running):
        if mode == GenerationMode.NEGATIVE and not operation.body:
            continue

        statuses = fuzz(operation, mode)
        if mode == GenerationMode.POSITIVE and (operation.path in working or not operation.body):
            assert 200 in statuses
    after = running.post(path, **ordinary).json()
    said = "choices" if kind == "gpt2" else "data"
    assert after[said] == before[said]


@pytest.mark.parametrize("path", ["/v1/completions", "/v1/classify", "/v1/fill"])
def test_names_that_are_paths(servers, path):
    running = servers["gpt2" if path == "/v1/completions" else "bert"]
    more = {"/v1/completions": {"prompt": "x"}, "/v1/classify": {"input": "x"},
            "/v1/fill": {"input": "x", "words": ["is"]}}[path]  # fmt: skip
    for name in NAMES:
        content = json.dumps({"model": name, **more})
        answer = running.client.post(f"{path}", content=content)
        assert "root:" not in refused(answer)


def test_bodies_that_are_too_much(servers):
    client = servers["gpt2"].client
    deep = "[" * 9_000 + "]" * 9_000
    numbers = '{"model": "soft1@tiny", "prompt": "x", "max_tokens": ' + "9" * 9_000 + "}"
    named = json.dumps({**ORDINARY, "x" * 9_000: 1})
    for content in (deep, numbers, named, json.dumps({**ORDINARY, "\ud800": 1})):
        refused(client.post("/v1/completions", content=content))
    for length in (30_000, 300_000):  # while it is still being sent
        big = {**ORDINARY, "prompt": "x" * length}
        assert client.post("/v1/completions", json=big).status_code == 413
    stops = {**ORDINARY, "stop": ["a" * 101]}
    assert "stop" in refused(client.post("/v1/completions", json=stops))
    many = {"model": "soft1@tiny", "input": ["x"] * 5, "choices": ["good", "bad"]}
    refused(client.post("/v1/classify", json=many))
    for words in ([""], ["good", "\ud800"], []):
        content = json.dumps({**many, "input": "x", "choices": words})
        refused(client.post("/v1/classify", content=content))


def send(url, *parts):
    """Raw bytes; returns what comes back."""
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as raw:
        for part in parts:
            raw.sendall(part)
        return raw.recv(10_000).decode()


def test_slow_clients_are_sent_away_and_hold_nobody_up(servers):
    running, said = servers["gpt2"], []
    head = b"POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 60\r\n\r\n"
    slow = [
        threading.Thread(target=lambda: said.append(send(running.url, head, b'{"model": ')))
        for _ in range(8)
    ]
    for thread in slow:
        thread.start()
    assert running.post("/v1/completions", **ORDINARY).status_code == 200
    for thread in slow:
        thread.join()
    assert [line.split()[1] for line in said] == ["408"] * 8


def test_lengths_that_are_a_lie(servers):
    url = servers["gpt2"].url
    start = b"POST /v1/completions HTTP/1.1\r\nhost: x\r\n"
    for length in (b"-1", b"1e3", b"9" * 30, "²".encode("latin-1"), b"5, 6"):
        said = send(url, start + b"content-length: " + length + b"\r\n\r\n")
        assert said.split()[1].startswith("4"), (length, said)


def test_many_who_hang_up_leave_nothing_behind(servers):
    running = servers["gpt2"]
    expected = running.post("/v1/completions", **ORDINARY).json()["choices"]
    picks = random.Random(0)
    for number in range(30):
        body = {**ORDINARY, "max_tokens": 8, "stream": bool(number % 2)}
        with contextlib.suppress(httpx.HTTPError):
            running.client.post("/v1/completions", json=body, timeout=picks.random() / 20)
    engine = running.server.engine
    for _ in range(100):
        if not engine.active and not engine.queue:
            break
        time.sleep(0.05)
    assert not engine.active
    assert not engine.queue
    assert len(engine.slots) == 0
    assert running.post("/v1/completions", **ORDINARY).json()["choices"] == expected


def test_a_deadline_frees_the_row(model, library):
    server = Server(model, library, limits=Limits(seconds=2.0), rows=1)
    step = server.engine.step
    server.engine.step = lambda: time.sleep(0.1) or step()
    with Running(server) as running:
        late = running.post("/v1/completions", **{**ORDINARY, "max_tokens": 60})
        assert late.status_code == 504
        assert "too long" in late.json()["error"]["message"]
        assert running.post("/v1/completions", **{**ORDINARY, "max_tokens": 1}).status_code == 200


def test_a_key_hears_nothing_of_others_prompts(model, library, tmp_path):
    secret, entry = new_key("alice")
    loaded = yaml.safe_load(entry)
    loaded[0].update(prompts=["soft1*", "soft", "prefix"])
    (tmp_path / "keys.yaml").write_text(yaml.safe_dump(loaded))
    head = {"authorization": f"Bearer {secret}"}
    with Running(Server(model, library, Keys(tmp_path / "keys.yaml"))) as running:

        def ask(name):
            body = {**ORDINARY, "model": name}
            return running.client.post("/v1/completions", json=body, headers=head)

        assert ask("soft1").status_code == 200
        for name in ("soft2@tiny", "soft9@tiny", "soft", "prefix", "soft11@tiny", "soft1@tinny"):
            said = refused(ask(name))
            others = {entry.name for entry in library.list()} - {name, "soft1@tiny"}
            assert not any(other in said for other in others)
            assert str(library.path) not in said


anything = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=9), st.binary(max_size=4)
)
wild = st.fixed_dictionaries(
    {"source": st.one_of(st.text(max_size=40), st.dictionaries(st.text(max_size=6), anything))},
    optional={
        "prompt": st.one_of(st.none(), st.sampled_from(["soft1@tiny", "prefix1", *NAMES])),
        "max_new_tokens": st.integers(-1, 200),
        "temperature": st.floats(),
        "top_p": st.floats(),
        "top_k": st.one_of(st.none(), st.integers()),
        "seed": st.integers(),
        "stop": st.lists(st.text(max_size=5), max_size=3),
        "logprobs": st.one_of(st.none(), st.integers(-1, 30)),
        "more": anything,
    },
)


@pytest.mark.parametrize("kind", ["gpt2", "t5"])
def test_the_engine_takes_anything_and_others_do_not_notice(tmp_path, kind):
    model = tiny(kind)
    engine = Engine(model, filled(model, tmp_path), rows=3, waiting=50)
    usual = Request(source="the film is", prompt="soft1@tiny", max_new_tokens=6)
    first = engine.submit(usual)
    engine.run_until_done()
    expected = first.text()

    @FEW
    @given(asked=st.lists(wild, min_size=1, max_size=4))
    def check(asked):
        tickets = []
        beside = engine.submit(usual)
        for one in asked:
            with contextlib.suppress(ValidationError, PromptgraftError):
                tickets.append(engine.submit(Request(**one)))
            engine.step()
        engine.run_until_done()
        assert beside.text() == expected
        for ticket in tickets:
            assert isinstance(ticket.text(), str)
        assert not engine.active
        assert len(engine.slots) == 0

    check()
