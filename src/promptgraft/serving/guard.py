"""What every request passes first: the length of its body, the time it takes to come in; and last:
an error that nobody expected, of which no log keeps more than the place."""

import asyncio
import time
from contextlib import suppress

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from promptgraft.serving.answers import Refused, error
from promptgraft.serving.bodies import Limits
from promptgraft.serving.measures import Measures
from promptgraft.serving.problems import told

PATHS = {"/healthz", "/readyz", "/metrics", "/v1/models", "/v1/completions", "/v1/classify",
         "/v1/fill"}  # fmt: skip

LINGER = 16  # times the limit that is read of a body that is too long: see `_let_pass`


class Guard:
    """ASGI middleware. (Starlette's own for functions hides it when a client hangs up.)"""

    def __init__(self, app: ASGIApp, limits: Limits, measures: Measures | None = None) -> None:
        self.app, self.limits, self.measures = app, limits, measures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through once its body is here."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, begun, status = time.monotonic(), False, 500

        async def noting(message: Message) -> None:
            nonlocal begun, status
            if message["type"] == "http.response.start":
                begun, status = True, message["status"]
            await send(message)

        try:
            try:
                body = await self._body(scope, receive)
            except Refused as problem:
                answer = error(problem.status, problem.message)
                answer.headers["connection"] = "close"  # the rest of the body may still come
                await answer(scope, receive, noting)
                return
            try:
                await self.app(scope, _with(body, receive), noting)
            except Exception as problem:
                failure = told(problem)
                if begun:
                    raise failure from None
                await error(500, str(failure))(scope, receive, noting)
        finally:
            if self.measures is not None:
                endpoint = scope["path"] if scope["path"] in PATHS else "other"
                self.measures.requests.labels(endpoint, status).inc()
                self.measures.seconds.labels(endpoint).observe(time.monotonic() - started)

    async def _body(self, scope: Scope, receive: Receive) -> Message | None:
        """The whole body as one message; None for a request that needs none."""
        if scope["method"] != "POST":
            return None
        announced, most = Headers(scope=scope).get("content-length"), self.limits.body_bytes
        fits = announced is not None and announced.isdecimal() and len(announced) < 16
        if announced is None or not fits or int(announced) > most:
            with suppress(TimeoutError):
                await asyncio.wait_for(_let_pass(receive, LINGER * most), self.limits.body_seconds)
            status = 411 if announced is None else 413
            raise Refused(status, f"The body must have a content-length of at most {most}.")
        try:
            return await asyncio.wait_for(_whole(receive), self.limits.body_seconds)
        except TimeoutError:
            seconds = self.limits.body_seconds
            raise Refused(408, f"The body took longer than {seconds:g} seconds.") from None


async def _whole(receive: Receive) -> Message:
    parts = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return message
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return {"type": "http.request", "body": b"".join(parts), "more_body": False}


async def _let_pass(receive: Receive, most: int) -> None:
    """Read and forget: a client that is still sending does not listen, and hears of a connection
    that broke instead of what was wrong."""
    while most > 0:
        message = await receive()
        most -= len(message.get("body", b""))
        if not message.get("more_body", False):
            return


def _with(body: Message | None, receive: Receive) -> Receive:
    """A body that was read already, and then what else comes: that the client hangs up."""
    if body is None:
        return receive
    waiting = [body]

    async def again() -> Message:
        return waiting.pop() if waiting else await receive()

    return again
