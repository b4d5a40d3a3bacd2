"""The server through HTTP: OpenAI's own client, keys, limits, and what is refused."""

import contextlib
import json
import threading
import time

import httpx
import openai
import pytest
import torch
import yaml

from conftest import tiny
from promptgraft.library import Library
from promptgraft.prompts import PromptCard, SoftPrompt
from promptgraft.serving.http import Limits, Server
from promptgraft.serving.keys import Keys, new_key
from serving.libraries import filled
from serving.running import Running

LIMITS = Limits(body_bytes=2000, body_seconds=1.5, text=300, new_tokens=20, rows=5, seconds=10.0)


@pytest.fixture
def running(model, library):
    with Running(Server(model, library, limits=LIMITS)) as server:
        yield server


def alone(model, library, name, text, **settings):
    return model.generate([text], library.get(name), **settings)[0]


def test_openais_client(running, model, library):
    client = openai.OpenAI(base_url=f"{running.url}/v1", api_key="none")
    assert {one.id for one in client.models.list()} == {e.name for e in library.list()}
    expected = alone(model, library, "soft1@tiny", "the film", max_new_tokens=9)
    found = client.completions.create(
        model="soft1@tiny", prompt="the film", max_tokens=9, temperature=0
    )
    assert found.choices[0].text == expected
    assert found.usage.completion_tokens <= 9
    stream = client.completions.create(
        model="soft1@tiny", prompt="the film", max_tokens=9, temperature=0, stream=True, logprobs=2
    )
    pieces = list(stream)
    assert "".join(piece.choices[0].text for piece in pieces) == expected
    assert pieces[-1].choices[0].finish_reason in ("stop", "length")
    with pytest.raises(openai.NotFoundError, match="no prompt nobody"):
        client.completions.create(model="nobody", prompt="x")


def test_many_at_once_get_their_own(running, model, library):
    names = [entry.name for entry in library.list()]
    asked = [(names[n % len(names)], f"the film {n % 7}") for n in range(40)]
    answers = [None] * len(asked)

    def ask(number):
        name, text = asked[number]
        found = running.post("/v1/completions", model=name, prompt=text, max_tokens=6)
        answers[number] = found.json()["choices"][0]["text"]

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(len(asked))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = [alone(model, library, name, text, max_new_tokens=6) for name, text in asked]
    assert answers == expected


def test_classification_and_masks(tmp_path):
    model = tiny("bert")
    library = Library(tmp_path / "library")
    card = PromptCard(kind="soft-prompt", length=2, base=model.reference, task="toy",
                      template="{prompt} {text} {mask} .",
                      verbalizer={"0": "bad", "1": "good"})  # fmt: skip
    library.add(SoftPrompt(model.embed(torch.tensor([7, 9])), card), "toy@bert")
    texts = ["the film is great", "a dull story"]
    with Running(Server(model, library)) as running:
        found = running.post("/v1/classify", model="toy@bert", input=texts).json()["data"]
        expected = model.choose(texts, ["bad", "good"], library.get("toy@bert"))
        assert [one["choice"] for one in found] == expected
        assert sum(found[0]["chances"].values()) == pytest.approx(1.0)
        rows = [{"text": text} for text in texts]
        assert running.post("/v1/classify", model="toy@bert", input=rows).json()["data"] == found
        filled = running.post("/v1/fill", model="toy@bert", input=texts[0], words=["fun", "is"])
        (word,) = model.choose(texts[:1], ["fun", "is"], library.get("toy@bert"))
        assert filled.json()["data"][0]["choice"] == word
        refused = running.post("/v1/completions", model="toy@bert", prompt="x")
        assert refused.status_code == 400
        assert "use /v1/classify" in refused.json()["error"]["message"]


def test_all_who_wait_for_a_choice_are_in_its_next_passes(tmp_path):
    """However few threads the machine has; those for whom there is no room are sent away, and who
    has waited too long leaves nothing behind."""
    model = tiny("bert")
    server = Server(model, filled(model, tmp_path))
    server.chooser.most_waiting = 30
    passes, scores, statuses, measured = [], model.choice_scores, [], []
    model.choice_scores = lambda *arguments: passes.append(len(arguments[0])) or scores(*arguments)
    with Running(server) as running:

        def ask():
            body = {"model": "soft1@tiny", "input": "good"}
            statuses.append(running.client.post("/v1/classify", json=body).status_code)

        def all_asked(until):
            threads = [threading.Thread(target=ask) for _ in range(40)]
            with server.chooser.lock:
                for thread in threads:
                    thread.start()
                while not until():
                    time.sleep(0.01)
                measured.append(running.client.get("/metrics").text)
            for thread in threads:
                thread.join()
            found = sorted(statuses)
            statuses.clear()
            return found

        assert all_asked(lambda: len(statuses) == 10) == [200] * 30 + [429] * 10
        assert passes == [30]
        assert "promptgraft_choosing 30.0" in measured[0]
        server.limits = Limits(seconds=4.0)  # by then all must have asked, on a busy machine too
        assert all_asked(lambda: len(statuses) == 40) == [429] * 10 + [504] * 30
        assert passes == [30]
        server.limits = Limits()
        ask()
        assert statuses == [200]


def test_encoder_decoders_write_and_choose(tmp_path):
    model = tiny("t5")
    library = filled(model, tmp_path)
    with Running(Server(model, library)) as running:
        for name in ("soft2@tiny", "prefix1@tiny"):
            found = running.post("/v1/completions", model=name, prompt="the film", max_tokens=9)
            expected = alone(model, library, name, "the film", max_new_tokens=9)
            assert found.json()["choices"][0]["text"] == expected
            chosen = running.post("/v1/classify", model=name, input="good fun").json()["data"]
            expected = model.choose(["good fun"], ["bad", "good"], library.get(name))
            assert [one["choice"] for one in chosen] == expected
        assert running.post("/v1/fill", model=name, input="x", words=["is"]).status_code == 400


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"model": "soft0@tiny"}, 400, "either `prompt`"),
        ({"model": "soft0@tiny", "prompt": "x", "max_tokens": 21}, 400, "at most 20"),
        ({"model": "soft0@tiny", "prompt": "x" * 301}, 400, "301 characters; at most 300"),
        ({"model": "soft0@tiny", "prompt": "x" * 3000}, 413, "at most 2000"),
        ({"model": "soft0@tiny", "prompt": 3}, 400, "prompt: "),
        ({"model": "soft0@tiny", "prompt": "x", "tempature": 1}, 400, "tempature: "),
        ({"model": "../../etc/passwd", "prompt": "x"}, 404, "no prompt"),
        ({"model": "a@b/../../c", "prompt": "x"}, 404, "no prompt"),
        ({"model": "soft0@tiny", "row": {"text": "x"}}, 400, "source"),
        ({"model": "soft0@tiny", "prompt": "x", "n": 2}, 400, "n: "),
    ],
)
def test_refused_in_one_line(running, body, status, message):
    answer = running.post("/v1/completions", **body)
    assert answer.status_code == status, answer.text
    said = answer.json()["error"]["message"]
    assert message in said
    assert "\n" not in said


def test_an_error_nobody_expected_is_one_line_and_no_log_has_the_text(
    running, model, monkeypatch, caplog, capfd
):
    text = "a text that nobody else may read"

    def fail(*_, **__):
        raise RuntimeError(text)

    with monkeypatch.context() as broken:
        broken.setattr(model, "encode", fail)
        answer = running.post("/v1/completions", model="soft1@tiny", prompt=text)
    assert answer.status_code == 500
    assert (
        answer.json()["error"]["message"]
        == "The server failed with this request; its log says where."
    )
    assert "RuntimeError while serving" in caplog.text
    assert text not in caplog.text + "".join(capfd.readouterr())
    again = running.post("/v1/completions", model="soft1@tiny", prompt=text)
    assert again.status_code == 200


def test_bodies_that_are_no_json(running):
    for content in (b"", b"{", b"[1, 2", b"\xff\xfe", b"null", b"[]"):
        answer = running.client.post("/v1/completions", content=content)
        assert answer.status_code == 400, content
        assert "\n" not in answer.json()["error"]["message"]
    chunked = running.client.post("/v1/completions", content=iter([b"x" * 10]))
    assert chunked.status_code == 411
    assert running.client.get("/v1/nothing").status_code == 404


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_hangs_up_frees_its_row(running, stream):
    body = {"model": "soft0@tiny", "prompt": "x", "max_tokens": 20, "stream": stream}
    engine = running.server.engine
    step, steps = engine.step, []
    engine.step = lambda: time.sleep(0.2) or steps.append(1) or step()  # else it is done before
    with (
        contextlib.suppress(httpx.ReadTimeout),
        running.client.stream(
            "POST", "/v1/completions", json=body, timeout=None if stream else 1.0
        ) as answer,
    ):
        next(answer.iter_lines())
    for _ in range(100):
        if not engine.active:
            break
        time.sleep(0.1)
    assert not engine.active
    assert len(steps) < 20  # it was not written to its end


def test_a_full_queue_says_when_to_come_back(model, library):
    server = Server(model, library, waiting=1, rows=1)
    engine = server.engine
    engine.start = lambda: None  # nothing is ever done
    with Running(server) as running:
        url, body = f"{running.url}/v1/completions", {"model": "soft0@tiny", "prompt": "x"}
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(url, json=body, timeout=1)
        answer = httpx.post(url, json=body, timeout=10)
        assert answer.status_code == 429  # nobody takes out those who hung up
        assert int(answer.headers["retry-after"]) >= 1


def test_keys(model, library, tmp_path):
    secret, entry = new_key("alice")
    loaded = yaml.safe_load(entry)
    loaded[0].update(prompts=["soft*"], requests_per_minute=2)
    (tmp_path / "keys.yaml").write_text(yaml.safe_dump(loaded))
    with Running(Server(model, library, Keys(tmp_path / "keys.yaml"))) as running:

        def ask(name, key=secret):
            headers = {"authorization": f"Bearer {key}"} if key else {}
            body = {"model": name, "prompt": "x", "max_tokens": 2}
            return running.client.post("/v1/completions", json=body, headers=headers)

        assert ask("soft0@tiny", None).status_code == ask("soft0@tiny", "pg-x").status_code == 401
        assert ask("prefix0@tiny").status_code == 403
        assert [ask("soft0@tiny").status_code for _ in range(3)] == [200, 200, 429]
        assert int(ask("soft0@tiny").headers["retry-after"]) >= 1
        listed = running.client.get(
            "/v1/models", headers={"authorization": f"Bearer {secret}"}
        ).json()
        assert {one["id"][:4] for one in listed["data"]} == {"soft"}


def test_a_days_tokens_are_those_of_texts_and_of_choices(model, library, tmp_path):
    secret, entry = new_key("alice")
    loaded = yaml.safe_load(entry)
    loaded[0].update(tokens_per_day=14)  # 12 to be classified, then some to be written
    (tmp_path / "keys.yaml").write_text(yaml.safe_dump(loaded))
    head = {"authorization": f"Bearer {secret}"}
    with Running(Server(model, library, Keys(tmp_path / "keys.yaml"))) as running:
        classify = {"model": "soft0@tiny", "input": ["the film is great"] * 3}
        write = {"model": "soft0@tiny", "prompt": "the film is", "max_tokens": 4}
        for path, body in (("classify", classify), ("completions", write)):
            assert running.client.post(f"/v1/{path}", json=body, headers=head).status_code == 200
        for path, body in (("classify", classify), ("completions", write)):
            answer = running.client.post(f"/v1/{path}", json=body, headers=head)
            assert answer.status_code == 429
            assert int(answer.headers["retry-after"]) > 3600


def test_health_and_measures(running):
    running.post("/v1/completions", model="soft0@tiny", prompt="x", max_tokens=3)
    assert running.client.get("/healthz").text == "ok"
    assert running.client.get("/readyz").text == "ok"
    text = running.client.get("/metrics").text
    assert 'promptgraft_requests_total{endpoint="/v1/completions",status="200"} 1.0' in text
    assert "promptgraft_prompts 1.0" in text
    paths = json.loads(running.client.get("/openapi.json").text)["paths"]
    assert "/v1/completions" in paths
