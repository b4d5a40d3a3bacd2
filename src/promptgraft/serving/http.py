"""The HTTP server: OpenAI's completions where they apply, classification and mask filling beside.

A model's name in a request is the name of a prompt: "sst2@mini/gpt2-s".
"""

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import FastAPI, Header, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, StreamingResponse
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from promptgraft.errors import PromptgraftError
from promptgraft.library import Library
from promptgraft.models import FrozenModel
from promptgraft.serving import request as engine_request
from promptgraft.serving.choices import Chooser
from promptgraft.serving.engine import Engine
from promptgraft.serving.keys import Key, Keys
from promptgraft.serving.prompts import Prompts
from promptgraft.serving.request import FullError, Piece, Ticket

RETRY_SECONDS = 1


@dataclass(frozen=True)
class Limits:
    """What a request may be."""

    body_bytes: int = 2**20
    text: int = 100_000
    """Characters."""
    new_tokens: int = 1024
    seconds: float = 120.0
    """Until an answer must be complete."""


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


Name = Annotated[str, Field(min_length=1, max_length=500)]
Row = str | dict[str, str | int | float | bool]


class Completion(_Body):
    """OpenAI's request for a completion; what promptgraft adds is `row`."""

    model: Name
    prompt: str | None = None
    row: dict[str, str | int | float | bool] | None = None
    """In place of `prompt`: the fields of the prompt's template."""
    max_tokens: int | None = Field(default=None, gt=0)
    """Default 64, or as many as the server allows."""
    temperature: float = Field(default=0.0, ge=0.0, le=100.0)
    top_p: float = Field(default=1.0, gt=0.0, le=1.0)
    stop: str | list[str] | None = Field(default=None, max_length=16)
    seed: int = Field(default=0, ge=0, lt=2**63)
    logprobs: int | None = Field(default=None, ge=0, le=20)
    stream: bool = False
    n: int = Field(default=1, ge=1, le=1)
    user: str | None = None


class Classify(_Body):
    """Rows to be given one of the choices each, by default the prompt's label words."""

    model: Name
    input: Row | list[Row]
    choices: list[str] | None = Field(default=None, min_length=1, max_length=1000)


class Fill(_Body):
    """Rows whose mask is to be filled with one of some words."""

    model: Name
    input: Row | list[Row]
    words: list[str] = Field(min_length=1, max_length=1000)


class Refused(Exception):
    """An answer with a status of its own, in one line."""

    def __init__(self, status: int, message: str, retry: float | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.retry = status, message, retry


class Measures:
    """What Prometheus is told."""

    def __init__(self, engine: Engine | None, prompts: Prompts) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("promptgraft_requests", "Requests by endpoint and status",
                                ["endpoint", "status"], registry=self.registry)  # fmt: skip
        self.seconds = Histogram("promptgraft_seconds", "Seconds until an answer is complete",
                                 ["endpoint"], registry=self.registry)  # fmt: skip
        self.tokens = Counter("promptgraft_tokens", "Tokens written", registry=self.registry)
        self._gauge("promptgraft_prompts", "Prompts in memory", lambda: len(prompts.kept))
        self._gauge("promptgraft_prompt_bytes", "Their bytes", lambda: prompts.bytes)
        if engine is not None:
            self._gauge("promptgraft_waiting", "Requests waiting", lambda: len(engine.queue))
            self._gauge("promptgraft_rows", "Rows being written", lambda: len(engine.active))

    def _gauge(self, name: str, what: str, read: Callable[[], float]) -> None:
        Gauge(name, what, registry=self.registry).set_function(read)


class Server:
    """The app and what it serves with. `app` is a FastAPI application."""

    def __init__(
        self,
        model: FrozenModel,
        library: Library,
        keys: Keys | None = None,
        limits: Limits = Limits(),
        **engine: Any,
    ) -> None:
        self.model, self.library, self.keys, self.limits = model, library, keys, limits
        bytes_at_most = engine.get("prompt_bytes", 2**30)
        self.engine = Engine(model, library, **engine) if model.family == "causal" else None
        self.prompts = (
            self.engine.prompts if self.engine else Prompts(model, library, bytes_at_most)
        )
        lock = self.engine.lock if self.engine else None
        self.chooser = Chooser(model, self.prompts, lock)
        self.measures = Measures(self.engine, self.prompts)
        self.draining = False
        self.app = self._app()

    def _app(self) -> FastAPI:
        @asynccontextmanager
        async def life(_app: FastAPI) -> AsyncIterator[None]:
            if self.engine is not None:
                self.engine.start()
            yield
            self.draining = True
            if self.engine is not None:
                await asyncio.to_thread(self.engine.close)

        app = FastAPI(title="promptgraft", lifespan=life)
        app.middleware("http")(self._guard)
        app.exception_handler(Refused)(_refused)
        app.exception_handler(HTTPException)(_plain_error)
        app.exception_handler(RequestValidationError)(_invalid)
        app.exception_handler(PromptgraftError)(_wrong)
        app.exception_handler(FullError)(_full)
        app.get("/healthz", response_class=PlainTextResponse)(lambda: "ok")
        app.get("/readyz", response_class=PlainTextResponse)(self._ready)
        app.get("/metrics", response_class=PlainTextResponse)(self._metrics)
        app.get("/v1/models")(self._models)
        app.post("/v1/completions")(self._complete)
        app.post("/v1/classify")(self._classify)
        app.post("/v1/fill")(self._fill)
        return app

    async def _guard(
        self, request: Request, go_on: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        """Limit the body before anything reads it; count what was answered."""
        started = time.monotonic()
        endpoint = request.url.path if request.url.path in _PATHS else "other"
        announced = request.headers.get("content-length")
        too_long = announced is not None and not announced.isdecimal()
        too_long = too_long or int(announced or 0) > self.limits.body_bytes
        if request.method == "POST" and (too_long or announced is None):
            message = f"The body must have a content-length of at most {self.limits.body_bytes}."
            response: Response = _error(413 if announced else 411, message)
        else:
            response = await go_on(request)
        self.measures.requests.labels(endpoint, response.status_code).inc()
        self.measures.seconds.labels(endpoint).observe(time.monotonic() - started)
        return response

    def _ready(self) -> str:
        if self.draining:
            raise Refused(503, "Shutting down.")
        return "ok"

    def _metrics(self) -> Response:
        return Response(generate_latest(self.measures.registry), media_type=CONTENT_TYPE_LATEST)

    def _key(self, authorization: str | None) -> Key | None:
        """Whose request this is; None where no keys are asked for."""
        if self.keys is None:
            return None
        kind, _, secret = (authorization or "").partition(" ")
        key = self.keys.holder(secret if kind.lower() == "bearer" else None)
        if key is None:
            raise Refused(401, "This needs a key: Authorization: Bearer pg-...")
        return key

    def _allow(self, key: Key | None, prompt: str) -> None:
        """Refuse a holder who may not use a prompt, or has asked too often."""
        if self.draining:
            raise Refused(503, "Shutting down.", RETRY_SECONDS)
        if key is None or self.keys is None:
            return
        if not key.may_use(prompt):
            raise Refused(403, f"This key may not use {prompt!r}.")
        seconds = self.keys.wait(key)
        if seconds > 0:
            raise Refused(429, "This key has used up its allowance.", seconds)

    def _models(self, authorization: Annotated[str | None, Header()] = None) -> dict[str, Any]:
        """The prompts that the key may use with this model."""
        key = self._key(authorization)
        fingerprint = self.model.reference.fingerprint
        names = [
            entry.name
            for entry in self.library.list()
            if entry.card.base.fingerprint == fingerprint
            and (key is None or key.may_use(entry.name))
        ]
        return {
            "object": "list",
            "data": [
                {"id": name, "object": "model", "created": 0, "owned_by": "promptgraft"}
                for name in names
            ],
        }

    async def _complete(
        self,
        body: Completion,
        request: Request,
        authorization: Annotated[str | None, Header()] = None,
    ) -> Response:
        """Write a text, whole or in pieces as server-sent events."""
        key = self._key(authorization)
        self._allow(key, body.model)
        if self.engine is None:
            raise Refused(400, f"{self.model.name} is a {self.model.family} model and is not "
                               "served for completions; use /v1/classify or /v1/fill.")  # fmt: skip
        if (body.prompt is None) == (body.row is None):
            raise Refused(400, "Give either `prompt`, a text, or `row`, the template's fields.")
        most = body.max_tokens or min(64, self.limits.new_tokens)
        if most > self.limits.new_tokens:
            raise Refused(400, f"max_tokens is {most}; at most "
                               f"{self.limits.new_tokens} are written.")  # fmt: skip
        source = body.prompt if body.prompt is not None else body.row or {}
        self._check_text(source)
        asked = engine_request.Request(
            source=source,
            prompt=body.model,
            max_new_tokens=most,
            temperature=body.temperature,
            top_p=body.top_p,
            seed=body.seed,
            stop=[body.stop] if isinstance(body.stop, str) else body.stop or (),
            logprobs=body.logprobs,
        )
        pieces: asyncio.Queue[Piece | Exception] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def deliver(piece: Piece | Exception) -> None:
            loop.call_soon_threadsafe(pieces.put_nowait, piece)

        ticket = await asyncio.to_thread(self.engine.submit, asked, deliver)
        head = {"id": f"cmpl-{uuid.uuid4().hex}", "object": "text_completion",
                "created": int(time.time()), "model": body.model}  # fmt: skip
        answer = self._pieces(ticket, pieces, request, key)
        if body.stream:
            return StreamingResponse(_events(head, answer), media_type="text/event-stream")
        found = [piece async for piece in answer]
        usage = {"prompt_tokens": ticket.read, "completion_tokens": ticket.written,
                 "total_tokens": ticket.read + ticket.written}  # fmt: skip
        return JSONResponse({**head, "choices": [_choice(found)], "usage": usage})

    async def _pieces(
        self,
        ticket: Ticket,
        pieces: "asyncio.Queue[Piece | Exception]",
        request: Request,
        key: Key | None,
    ) -> AsyncIterator[Piece]:
        """The pieces until the last one, the deadline, or until nobody listens any more."""
        until = time.monotonic() + self.limits.seconds
        try:
            while True:
                try:
                    piece = await asyncio.wait_for(pieces.get(), 0.5)
                except TimeoutError:
                    if time.monotonic() > until:
                        raise Refused(504, "It took too long.") from None
                    if await request.is_disconnected():
                        return
                    continue
                if isinstance(piece, Exception):
                    raise piece
                yield piece
                if piece.finished is not None:
                    return
        finally:
            ticket.cancel()  # frees its place, if it is not finished
            self.measures.tokens.inc(ticket.written)
            if key is not None and self.keys is not None:
                self.keys.spend(key, ticket.read + ticket.written)

    async def _classify(
        self, body: Classify, authorization: Annotated[str | None, Header()] = None
    ) -> dict[str, Any]:
        """The likeliest choice for each row, and the chances of all."""
        return await self._choose(body.model, body.input, body.choices, authorization)

    async def _fill(
        self, body: Fill, authorization: Annotated[str | None, Header()] = None
    ) -> dict[str, Any]:
        """The likeliest word at the mask of each row."""
        if self.model.family != "masked":
            raise Refused(400, f"{self.model.name} is a {self.model.family} model without masks.")
        return await self._choose(body.model, body.input, body.words, authorization)

    async def _choose(
        self,
        prompt: str,
        given: Row | list[Row],
        choices: list[str] | None,
        authorization: str | None,
    ) -> dict[str, Any]:
        key = self._key(authorization)
        self._allow(key, prompt)
        rows = given if isinstance(given, list) else [given]
        for row in rows:
            self._check_text(row)

        def answers() -> list[Any]:
            futures = [self.chooser.ask(row, prompt, choices) for row in rows]
            self.chooser.answer_all()
            return [future.result(self.limits.seconds) for future in futures]

        found = await asyncio.to_thread(answers)
        data = [{"choice": one.best, "chances": one.chances} for one in found]
        return {"object": "list", "model": prompt, "data": data}

    def _check_text(self, row: Row) -> None:
        texts = [row] if isinstance(row, str) else [str(value) for value in row.values()]
        length = sum(map(len, texts))
        if length > self.limits.text:
            raise Refused(400, f"The text has {length} characters; at most {self.limits.text}.")


_PATHS = {"/healthz", "/readyz", "/metrics", "/v1/models", "/v1/completions", "/v1/classify",
          "/v1/fill"}  # fmt: skip


def _choice(pieces: list[Piece]) -> dict[str, Any]:
    """OpenAI's form of a text, or of a piece of it."""
    tokens = [token for piece in pieces for token in piece.tokens]
    logprobs = None
    if tokens:
        logprobs = {
            "tokens": [token.text for token in tokens],
            "token_logprobs": [token.logprob for token in tokens],
            "top_logprobs": [dict(token.likeliest) for token in tokens],
            "text_offset": [],
        }
    text = "".join(piece.text for piece in pieces)
    reason = pieces[-1].finished if pieces else "cancelled"
    return {"index": 0, "text": text, "logprobs": logprobs, "finish_reason": reason}


async def _events(head: dict[str, Any], pieces: AsyncIterator[Piece]) -> AsyncIterator[str]:
    """Server-sent events, an error among them if one comes."""
    try:
        async for piece in pieces:
            yield f"data: {json.dumps({**head, 'choices': [_choice([piece])]})}\n\n"
    except (PromptgraftError, Refused) as error:
        yield f"data: {json.dumps(_said(str(error)))}\n\n"
    yield "data: [DONE]\n\n"


def _said(message: str, kind: str = "invalid_request_error") -> dict[str, Any]:
    line = " ".join(message.split())
    return {"error": {"message": line, "type": kind, "param": None, "code": None}}


def _error(status: int, message: str, retry: float | None = None) -> JSONResponse:
    headers = {} if retry is None else {"Retry-After": str(max(1, round(retry + 0.5)))}
    return JSONResponse(_said(message), status, headers)


async def _refused(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Refused)
    return _error(error.status, error.message, error.retry)


async def _plain_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return _error(error.status_code, str(error.detail))


async def _invalid(_request: Request, error: Exception) -> JSONResponse:
    """The first thing that is wrong with a body; nothing of what was sent is repeated."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"] if part != "body")
    return _error(400, f"{where}: {first['msg']}" if where else str(first["msg"]))


async def _wrong(_request: Request, error: Exception) -> JSONResponse:
    missing = str(error).startswith("no prompt")
    return _error(404 if missing else 400, str(error))


async def _full(_request: Request, error: Exception) -> JSONResponse:
    return _error(429, str(error), RETRY_SECONDS)
