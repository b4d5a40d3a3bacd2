"""The HTTP server: OpenAI's completions where they apply, classification and mask filling beside.

A model's name in a request is the name of a prompt: "sst2@mini/gpt2-s".
"""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Annotated, Any

from fastapi import FastAPI, Header, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse, StreamingResponse
from prometheus_client import CONTENT_TYPE_LATEST

from promptgraft.errors import PromptgraftError
from promptgraft.library import Library
from promptgraft.models import FrozenModel
from promptgraft.serving import request as engine_request
from promptgraft.serving.answers import (
    PROBLEMS,
    RETRY_SECONDS,
    STREAM,
    Refused,
    choice,
    events,
    say_errors,
)
from promptgraft.serving.bodies import Classify, Completion, Fill, Limits, Row
from promptgraft.serving.choices import Chooser
from promptgraft.serving.engine import Engine
from promptgraft.serving.guard import Guard
from promptgraft.serving.keys import Key, Keys
from promptgraft.serving.measures import Measures
from promptgraft.serving.prompts import Prompts
from promptgraft.serving.request import Piece, Ticket

LOOK = 0.5  # seconds between two looks whether a client is still there
Authorization = Annotated[str | None, Header()]


class Server:
    """The app and what it serves with. `app` is a FastAPI application."""

    def __init__(
        self,
        model: FrozenModel,
        library: Library,
        keys: Keys | None = None,
        limits: Limits | None = None,
        **engine: Any,
    ) -> None:
        self.model, self.library, self.keys = model, library, keys
        self.limits = limits or Limits()
        waiting = {"waiting": engine["waiting"]} if "waiting" in engine else {}
        if model.family == "masked":
            self.engine = None
            room = engine.get("prompt_bytes", 2**30)
            self.chooser = Chooser(model, Prompts(model, library, room), **waiting)
        else:
            self.engine = Engine(model, library, **engine)
            self.chooser = Chooser(model, self.engine.prompts, self.engine.lock, **waiting)
        self.measures = Measures(self.engine, self.chooser)
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
        app.add_middleware(Guard, limits=self.limits, measures=self.measures)
        say_errors(app)
        app.get("/healthz", response_class=PlainTextResponse)(lambda: "ok")
        app.get("/readyz", response_class=PlainTextResponse, responses=PROBLEMS)(self._ready)
        app.get("/metrics", response_class=PlainTextResponse)(self._metrics)
        app.get("/v1/models", responses=PROBLEMS)(self._models)
        app.post("/v1/completions", responses=PROBLEMS | STREAM)(self._complete)
        app.post("/v1/classify", responses=PROBLEMS)(self._classify)
        app.post("/v1/fill", responses=PROBLEMS)(self._fill)
        return app

    def _ready(self) -> str:
        if self.draining:
            raise Refused(503, "Shutting down.")
        return "ok"

    def _metrics(self) -> Response:
        return Response(self.measures.exposition(), media_type=CONTENT_TYPE_LATEST)

    def _key(self, authorization: str | None) -> Key | None:
        """Whose request this is; None where no keys are asked for."""
        if self.keys is None:
            return None
        kind, _, secret = (authorization or "").partition(" ")
        key = self.keys.holder(secret if kind.lower() == "bearer" else None)
        if key is None:
            raise Refused(401, "This needs a key: Authorization: Bearer pg-...")
        return key

    def _allowed(self, authorization: str | None, prompt: str) -> tuple[Key | None, str]:
        """Who asks, and the prompt's full name; refuses who may not use it or asks too often.

        To the holder of a key the other holders' prompts are as if they were not there.
        """
        key = self._key(authorization)
        if self.draining:
            raise Refused(503, "Shutting down.", RETRY_SECONDS)
        if key is None or self.keys is None:
            return None, self.library.resolve(prompt)
        if not key.may_use(prompt):
            raise Refused(403, f"This key may not use {prompt!r}.")
        seconds = self.keys.wait(key)
        if seconds > 0:
            raise Refused(429, "This key has used up its allowance.", seconds)
        try:
            name = self.library.resolve(prompt)
        except PromptgraftError:  # it would name those that are near
            name = ""
        if not name or not key.may_use(name):
            raise Refused(404, f"no prompt {prompt!r}; /v1/models lists those of this key.")
        return key, name

    def _models(self, authorization: Authorization = None) -> dict[str, Any]:
        """The prompts that the key may use with this model."""
        key = self._key(authorization)
        try:
            own = f'base.fingerprint="{self.model.reference.fingerprint}"'
            names = self.library.list(where=own).names
        except PromptgraftError:  # no prompt says so, there may be none at all
            names = []
        return {
            "object": "list",
            "data": [
                {"id": name, "object": "model", "created": 0, "owned_by": "promptgraft"}
                for name in names
                if key is None or key.may_use(name)
            ],
        }

    async def _complete(
        self, body: Completion, request: Request, authorization: Authorization = None
    ) -> Response:
        """Write a text, whole or in pieces as server-sent events."""
        key, name = await asyncio.to_thread(self._allowed, authorization, body.model)
        if self.engine is None:
            raise Refused(400, f"{self.model.name} is a {self.model.family} model and is not "
                               "served for completions; use /v1/classify or /v1/fill.")  # fmt: skip
        pieces: asyncio.Queue[Piece | Exception] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def deliver(piece: Piece | Exception) -> None:
            with suppress(RuntimeError):  # the loop is closed, nobody listens any more
                loop.call_soon_threadsafe(pieces.put_nowait, piece)

        asked = self._asked(body, name)
        ticket = await asyncio.to_thread(self.engine.submit, asked, deliver)
        state = request.scope.get("state", {})  # of who passed it on, and may ask again
        head = {"id": f"cmpl-{state.get('id') or uuid.uuid4().hex}", "object": "text_completion",
                "created": state.get("created") or int(time.time()),
                "model": body.model}  # fmt: skip
        answer = self._pieces(ticket, pieces, request, key)
        if body.stream:
            return StreamingResponse(events(head, answer), media_type="text/event-stream")
        found = [piece async for piece in answer]
        usage = {"prompt_tokens": ticket.read, "completion_tokens": ticket.written,
                 "total_tokens": ticket.read + ticket.written}  # fmt: skip
        return JSONResponse({**head, "choices": [choice(found)], "usage": usage})

    def _asked(self, body: Completion, name: str) -> engine_request.Request:
        """What the engine is asked. Refuses what is beyond the limits."""
        if (body.prompt is None) == (body.row is None):
            raise Refused(400, "Give either `prompt`, a text, or `row`, the template's fields.")
        most = body.max_tokens or min(64, self.limits.new_tokens)
        if most > self.limits.new_tokens:
            raise Refused(400, f"max_tokens is {most}; at most "
                               f"{self.limits.new_tokens} are written.")  # fmt: skip
        source = body.prompt if body.prompt is not None else body.row or {}
        self._check_text(source)
        return engine_request.Request(
            source=source,
            prompt=name,
            max_new_tokens=most,
            temperature=body.temperature,
            top_p=body.top_p,
            seed=body.seed,
            stop=[body.stop] if isinstance(body.stop, str) else body.stop or (),
            logprobs=body.logprobs,
        )

    async def _pieces(
        self,
        ticket: Ticket,
        pieces: "asyncio.Queue[Piece | Exception]",
        request: Request,
        key: Key | None,
    ) -> AsyncIterator[Piece]:
        """The pieces until the last one, the deadline, or until nobody listens any more."""
        until = time.monotonic() + self.limits.seconds
        look = time.monotonic() + LOOK
        try:
            while True:
                now = time.monotonic()
                if now >= until:
                    raise Refused(504, "It took too long.")
                if now >= look:
                    if await request.is_disconnected():
                        return
                    look = now + LOOK
                try:
                    piece = await asyncio.wait_for(pieces.get(), min(look, until) - now)
                except TimeoutError:
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
        self, body: Classify, authorization: Authorization = None
    ) -> dict[str, Any]:
        """The likeliest choice for each row, and the chances of all."""
        return await self._choose(body.model, body.input, body.choices or (), authorization)

    async def _fill(self, body: Fill, authorization: Authorization = None) -> dict[str, Any]:
        """The likeliest word at the mask of each row."""
        if self.model.family != "masked":
            raise Refused(400, f"{self.model.name} is a {self.model.family} model without masks.")
        return await self._choose(body.model, body.input, body.words, authorization)

    async def _choose(
        self, prompt: str, given: Row | list[Row], choices: Sequence[str], authorization: str | None
    ) -> dict[str, Any]:
        key, name = await asyncio.to_thread(self._allowed, authorization, prompt)
        rows = given if isinstance(given, list) else [given]
        if len(rows) > self.limits.rows or len(rows) * len(choices) > self.limits.chances:
            raise Refused(400, f"{len(rows)} rows with {len(choices)} choices; at most "
                               f"{self.limits.rows} rows and {self.limits.chances} chances of "
                               "choices are told at once.")  # fmt: skip
        for row in (*rows, "".join(choices)):
            self._check_text(row)
        asked = await asyncio.to_thread(self.chooser.submit, rows, name, choices)
        try:
            answers = asyncio.gather(*map(asyncio.wrap_future, asked))
            found = await asyncio.wait_for(answers, self.limits.seconds)
        except TimeoutError:
            raise Refused(504, "It took too long.") from None
        finally:
            for one in asked:
                one.cancel()  # those that are not answered, if one went wrong
        if key is not None and self.keys is not None:
            texts = [text for row in rows for text in _texts(row)]
            tokens = await asyncio.to_thread(self.model.encoder.tokenize, texts)
            self.keys.spend(key, sum(map(len, tokens)))
        data = [{"choice": one.best, "chances": one.chances} for one in found]
        return {"object": "list", "model": prompt, "data": data}

    def _check_text(self, row: Row) -> None:
        length = sum(map(len, _texts(row)))
        if length > self.limits.text:
            raise Refused(400, f"The text has {length} characters; at most {self.limits.text}.")


def _texts(row: Row) -> list[str]:
    return [row] if isinstance(row, str) else [str(value) for value in row.values()]
