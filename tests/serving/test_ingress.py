"""What the ingress makes of copies that die, are busy, or say something else, and keys of one that
counts for all and dies; without a cluster."""

import asyncio
import json

import pytest

ray = pytest.importorskip("ray")

from ray.serve.exceptions import BackPressureError  # noqa: E402

from promptgraft.serving.bodies import Limits  # noqa: E402
from promptgraft.serving.keys import Keys, new_key  # noqa: E402
from promptgraft.serving.on_ray import Ingress, SharedKeys  # noqa: E402
from promptgraft.serving.problems import FullError  # noqa: E402

START = {"type": "http.response.start", "status": 200, "headers": []}
DIED = ray.exceptions.ActorDiedError()
BODY = json.dumps({"model": "sst2@tiny"}).encode()


def event(text, logprob=0.0):
    choice = {"text": text, "logprobs": logprob}
    return body(f"data: {json.dumps({'choices': [choice]})}\n\n".encode())


def body(content):
    return {"type": "http.response.body", "body": content}


class Copies:
    """In the place of Ray's handle: every ask is answered by the next of `answers`, messages with
    an error among them where the copy dies."""

    def __init__(self, *answers):
        self.answers, self.asked, self.prompts = list(answers), [], []

    def options(self, multiplexed_model_id):
        self.prompts.append(multiplexed_model_id)
        return self

    def remote(self, request, body):
        self.asked.append((request, body))
        return Answer(self.answers.pop(0))


class Answer:
    def __init__(self, messages):
        self.messages = messages

    async def __aiter__(self):
        for message in self.messages:
            if isinstance(message, Exception):
                raise message
            if message is None:
                await asyncio.sleep(60)
            yield message

    def cancel(self):
        pass


def said(*answers, seconds=10.0):
    """What the client hears, and the copies."""
    copies, heard = Copies(*answers), []

    async def ask():
        async def receive():
            return {"type": "http.request", "body": BODY}

        async def send(message):
            heard.append(message)

        scope = {"type": "http", "method": "POST", "path": "/v1/completions", "headers": []}
        await Ingress(copies, Limits(seconds=seconds))(scope, receive, send)

    asyncio.run(ask())
    return heard, copies


def test_an_answer_goes_on_where_it_stopped():
    whole = [START, event("a"), event("b"), event("c")]
    heard, copies = said([*whole[:3], DIED], [DIED], whole)
    assert heard == whole
    assert len(copies.asked) == 3
    assert copies.prompts == ["sst2@tiny"]
    (first, _), *others = copies.asked
    assert first["state"]["id"]
    assert all(request == first and sent == BODY for request, sent in others)


def test_log_probabilities_may_differ_in_their_last_digits():
    heard, _ = said([START, event("a", 0.1), DIED], [START, event("a", 0.1000001), event("b", 0.2)])
    assert heard == [START, event("a", 0.1), event("b", 0.2)]


def test_other_text_is_no_continuation():
    heard, _ = said([START, event("a"), DIED], [START, event("x"), event("b")])
    assert heard[:2] == [START, event("a")]
    (end,) = heard[2:]
    problem, done, _ = end["body"].decode().split("\n\n")
    assert "lost this request" in json.loads(problem.removeprefix("data: "))["error"]["message"]
    assert done == "data: [DONE]"


def test_who_was_accepted_waits_and_who_was_not_is_told():
    busy = [START | {"status": 429}, body(b"busy")]
    whole = [START, event("a")]
    assert said([DIED], busy, [BackPressureError(1, 1)], whole)[0] == whole
    assert said(busy)[0] == busy
    (start, _), _ = said([BackPressureError(1, 1)])
    assert start["status"] == 429
    assert (b"retry-after", b"2") in start["headers"]


def test_it_ends_in_time():
    (start, _), _ = said([None], seconds=0.05)
    assert start["status"] == 503


class Counting:
    """In the place of Ray's handle of the deployed `Keys`."""

    def __init__(self, keys):
        self.keys, self.alive = keys, True
        self.wait, self.spend = Remote(self, "wait"), Remote(self, "spend")


class Remote:
    def __init__(self, counting, name):
        self.counting, self.name = counting, name

    def remote(self, *given):
        return Result(lambda: getattr(self.counting.keys, self.name)(*given), self.counting.alive)


class Result:
    def __init__(self, work, alive):
        self.value, self.alive = work() if alive else None, alive

    def result(self, timeout_s):
        if not self.alive:
            raise DIED
        return self.value


def test_copies_share_an_allowance_and_nobody_is_let_in_uncounted(tmp_path):
    _, entry = new_key("alice")
    file = tmp_path / "keys.yaml"
    file.write_text(f"{entry}  requests_per_minute: 2\n  tokens_per_day: 5\n")
    counting = Counting(Keys(file, lambda: 0.0))
    one, other = SharedKeys(file, counting), SharedKeys(file, counting)
    (key,) = one.by_hash.values()
    assert [one.wait(key), other.wait(key), one.wait(key)] == [0.0, 0.0, 30.0]
    other.spend(key, 5)
    assert one.wait(key) == 86_400.0
    counting.alive = False
    with pytest.raises(FullError, match="try again"):
        one.wait(key)
