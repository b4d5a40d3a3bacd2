"""The server on a Ray cluster: copies of it, each with prompts of its own in memory.

Whoever asks comes to the ingress, which knows by Ray Serve's multiplexing who has a prompt already,
and asks another copy anew if the first one dies: as what is written depends on the request alone,
the answer goes on where it stopped.
"""

import asyncio
import json
import os
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import ray
from ray import serve
from ray.exceptions import NodeDiedError, ObjectLostError, RayActorError
from ray.serve.exceptions import BackPressureError, ReplicaUnavailableError
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Mount
from starlette.types import Message, Receive, Scope, Send

from promptgraft.errors import ConfigError, PromptgraftError
from promptgraft.library import Library
from promptgraft.models import FrozenModel
from promptgraft.serving.answers import RETRY_SECONDS, error
from promptgraft.serving.bodies import Limits
from promptgraft.serving.guard import Guard
from promptgraft.serving.http import Server
from promptgraft.serving.keys import Key, Keys
from promptgraft.serving.problems import FullError

LOCAL = "local"
NAME = "promptgraft"
KNOWN = 10_000  # prompts of a copy that Ray keeps in mind
PAUSE = 0.2  # seconds before another copy is asked
PATIENCE = 10.0  # seconds until the allowance of a key must be known
LONGEST = 500  # characters of a prompt's name, as in `bodies`
LOST = (RayActorError, ReplicaUnavailableError, ObjectLostError, NodeDiedError)
PARTS = ("type", "asgi", "http_version", "method", "scheme", "path", "raw_path", "query_string",
         "root_path", "headers", "client", "server")  # fmt: skip


class SharedKeys(Keys):
    """Keys of which one place counts for all copies how much is used up."""

    def __init__(self, file: Path, count: Any) -> None:
        """count  the handle of `Keys`, deployed once"""
        super().__init__(file)
        self.count = count

    def wait(self, key: Key) -> float:
        """As of `Keys`; raises FullError if nobody counts at this moment."""
        try:
            return float(self.count.wait.remote(key).result(timeout_s=PATIENCE))
        except (*LOST, TimeoutError):
            raise FullError("Allowances cannot be looked up now; try again later.") from None

    def spend(self, key: Key, tokens: int) -> None:
        self.count.spend.remote(key, tokens)


class Replica:
    """One copy: the app of `promptgraft serve`, asked by the ingress."""

    def __init__(
        self,
        model: str,
        dtype: str,
        library: str,
        keys: str | None,
        count: Any,
        engine: dict[str, Any],
    ) -> None:
        """The model is loaded by its name; library and keys are paths that this machine sees."""
        known = SharedKeys(Path(keys), count) if keys is not None else None
        frozen = FrozenModel.load(model, dtype=dtype)
        self.server = Server(frozen, Library(Path(library)), known, **engine)
        if self.server.engine is not None:
            self.server.engine.start()

    @serve.multiplexed(max_num_models_per_replica=KNOWN)  # type: ignore[untyped-decorator]
    async def told(self, prompt: str) -> str:
        """Ray knows from now on that this copy has the prompt. (It loads it as always.)"""
        return prompt

    async def answer(self, scope: dict[str, Any], body: bytes) -> AsyncIterator[Message]:
        """What the app says to a request, message by message."""
        await self._tell(serve.get_multiplexed_model_id())
        said: asyncio.Queue[Message | None] = asyncio.Queue()
        coming: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Message:
            if not coming:
                await asyncio.Event().wait()  # until it is cancelled: the client has hung up
            return coming.pop()

        async def run() -> None:
            try:
                await self.server.app(scope, receive, said.put)
            finally:
                said.put_nowait(None)

        task = asyncio.create_task(run())
        try:
            while (message := await said.get()) is not None:
                yield message
        finally:
            task.cancel()

    async def _tell(self, prompt: str) -> None:
        with suppress(PromptgraftError):  # the app says what is wrong with it
            if prompt:
                await asyncio.to_thread(self.server.library.resolve, prompt)
                await self.told(prompt)


class Ingress:
    """ASGI app that passes requests on to the copies."""

    def __init__(self, copies: Any, limits: Limits) -> None:
        """copies  the handle of `Replica.answer`"""
        self.copies, self.limits = copies, limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer once, whatever happens to the copies meanwhile."""
        request = {part: scope[part] for part in PARTS if part in scope}
        request["state"] = {"id": uuid.uuid4().hex, "created": int(time.time())}
        body = (await receive()).get("body", b"") if scope["method"] == "POST" else b""
        copies = self.copies.options(multiplexed_model_id=_prompt(body))
        passed: list[Message] = []  # what the client has
        try:
            async with asyncio.timeout(2 * self.limits.seconds):
                await self._ask(lambda: copies.remote(request, body), passed, send)
        except TimeoutError:
            await _give_up(passed, send)

    async def _ask(self, ask: Callable[[], Any], passed: list[Message], send: Send) -> None:
        """Pass on what a copy says; if it dies, what another says behind that."""
        again = False
        while True:
            asked, number = ask(), 0
            try:
                async for message in asked:
                    if again and message.get("status") in (429, 503):
                        break  # it was accepted once, so it waits
                    if number == len(passed):
                        await send(message)
                        passed.append(message)
                    elif not _same(message, passed[number]):
                        await _give_up(passed, send)
                        return
                    number += 1
                else:
                    return
            except BackPressureError:
                if not again:
                    await _say(error(429, "Too many requests are waiting.", RETRY_SECONDS), send)
                    return
            except LOST:
                again = True
            finally:
                asked.cancel()
            await asyncio.sleep(PAUSE)


def _same(one: Message, other: Message) -> bool:
    """Whether two copies say the same; the last digits of log-probabilities do not count."""
    if one == other:
        return True
    texts = []
    for message in (one, other):
        try:
            event = json.loads(message["body"].removeprefix(b"data: "))
            texts.append(event["choices"][0]["text"])
        except (KeyError, ValueError):
            return False
    return bool(texts[0] == texts[1])


async def _give_up(passed: list[Message], send: Send) -> None:
    """End an answer that no copy goes on with: in time, or (with rounded numbers, which depend on
    who else is served) as it was begun."""
    problem = error(503, "The server lost this request; try again.", RETRY_SECONDS)
    if not passed:
        await _say(problem, send)
    else:
        events = b"data: " + bytes(problem.body) + b"\n\ndata: [DONE]\n\n"
        await send({"type": "http.response.body", "body": events})


async def _say(answer: Response, send: Send) -> None:
    start = {"status": answer.status_code, "headers": answer.raw_headers}
    await send({"type": "http.response.start", **start})
    await send({"type": "http.response.body", "body": answer.body})


def _prompt(body: bytes) -> str:
    """The prompt that a request names, if it does; whether it is there is not known here."""
    try:
        asked = json.loads(body).get("model")
    except (ValueError, RecursionError, AttributeError):
        return ""
    return asked if isinstance(asked, str) and len(asked) <= LONGEST else ""


def _ingress() -> Starlette:
    """The ingress's app, made in its own process."""
    copies = serve.get_deployment_handle("Replica", NAME)
    asked = copies.options(method_name="answer", stream=True)
    return Starlette(routes=[Mount("/", Guard(Ingress(asked, Limits()), Limits()))])


def deploy(
    model: str,
    dtype: str,
    library: Path,
    keys: Path | None,
    address: str,
    replicas: int,
    host: str,
    port: int,
    engine: dict[str, int],
) -> None:
    """Start so many copies on the Ray cluster at `address`, "local" for one on this machine.

    engine  settings of every copy's: rows, waiting, prompt_bytes

    Allowances of keys are counted in one place for all copies.

    Returns when all are ready. Raises ConfigError if there is no such cluster. Metrics of the
    whole are Ray's; /metrics tells those of the copy that happens to be asked.
    """
    where: dict[str, Any] = {"address": address}
    cores = 1
    if address == LOCAL:
        cores = max(1, (os.cpu_count() or 1) // replicas)
        where |= {"num_cpus": cores * replicas, "include_dashboard": False}
    try:
        ray.init(**where, log_to_driver=False)
    except ConnectionError as problem:
        raise ConfigError(f"There is no Ray cluster at {address}: {problem}") from None
    quiet = {"log_level": "WARNING"}
    serve.start(http_options={"host": host, "port": port}, logging_config=quiet)
    limits = Limits()
    rows, waiting = engine["rows"], engine["waiting"]
    common: dict[str, Any] = {
        "graceful_shutdown_timeout_s": limits.seconds + limits.body_seconds,
        "logging_config": quiet,
    }
    gpus = 1 if ray.cluster_resources().get("GPU") else 0
    copies = serve.deployment(
        Replica,
        name="Replica",
        num_replicas=replicas,
        max_ongoing_requests=2 * rows,  # beyond these another copy is asked, whatever it has
        max_queued_requests=waiting,
        ray_actor_options={"num_cpus": cores, "num_gpus": gpus},
        **common,
    )
    front = serve.deployment(
        serve.ingress(_ingress)(),
        name="Ingress",
        max_ongoing_requests=2 * rows * replicas + waiting,
        ray_actor_options={"num_cpus": 0},
        **common,
    )
    name = str(Path(model).resolve()) if Path(model).is_dir() else model
    file = str(keys.resolve()) if keys is not None else None
    count = serve.deployment(
        Keys,
        name="Keys",
        max_ongoing_requests=2 * rows * replicas,
        ray_actor_options={"num_cpus": 0},
        **common,
    )
    counting = count.bind(Path(file)) if file is not None else None
    held = copies.bind(name, dtype, str(library.resolve()), file, counting, engine)
    serve.run(front.bind(held), name=NAME)


def withdraw() -> None:
    """Take no more requests, answer those that are being written, and end."""
    if not ray.is_initialized():
        return
    if NAME in serve.status().applications:
        serve.delete(NAME)  # waits for them, which `shutdown` does not
    serve.shutdown()
    ray.shutdown()
