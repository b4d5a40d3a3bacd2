"""What is answered over HTTP: texts in OpenAI's form, and errors in one line each."""

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from promptgraft.errors import MissingPromptError, PromptgraftError
from promptgraft.serving.problems import FailedError, FullError
from promptgraft.serving.request import Piece

RETRY_SECONDS = 1
LONGEST = 500  # characters of an error; what was sent may be part of it, a field's name say


class Refused(Exception):
    """An answer with a status of its own, in one line."""

    def __init__(self, status: int, message: str, retry: float | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.retry = status, message, retry


class _Said(BaseModel):
    message: str
    type: str
    param: str | None
    code: str | None


class Problem(BaseModel):
    """OpenAI's form of an error."""

    error: _Said


PROBLEMS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": Problem, "description": "The request is refused"},
    "5XX": {"model": Problem, "description": "Shutting down, or it took too long"},
}

STREAM: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/event-stream": {}}, "description": "The text, whole or in pieces"}
}


def choice(pieces: Sequence[Piece]) -> dict[str, Any]:
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


async def events(head: dict[str, Any], pieces: AsyncIterator[Piece]) -> AsyncIterator[str]:
    """Server-sent events, an error among them if one comes."""
    try:
        async for piece in pieces:
            yield f"data: {json.dumps({**head, 'choices': [choice([piece])]})}\n\n"
    except (PromptgraftError, Refused) as problem:
        yield f"data: {json.dumps(_said(str(problem)))}\n\n"
    yield "data: [DONE]\n\n"


def error(status: int, message: str, retry: float | None = None) -> JSONResponse:
    """A problem with its status; `retry` in seconds."""
    headers = {} if retry is None else {"Retry-After": str(max(1, round(retry + 0.5)))}
    return JSONResponse(_said(message), status, headers)


def say_errors(app: FastAPI) -> None:
    """Have an app answer in this form whatever goes wrong."""
    app.exception_handler(Refused)(_refused)
    app.exception_handler(HTTPException)(_plain)
    app.exception_handler(RequestValidationError)(_invalid)
    app.exception_handler(PromptgraftError)(_wrong)
    app.exception_handler(FullError)(_full)
    app.exception_handler(FailedError)(_failed)


def _said(message: str) -> dict[str, Any]:
    line = " ".join(message.encode(errors="replace").decode().split())
    line = line if len(line) <= LONGEST else f"{line[:LONGEST]}…"
    kind = "invalid_request_error"
    return {"error": {"message": line, "type": kind, "param": None, "code": None}}


async def _refused(_request: Request, problem: Exception) -> JSONResponse:
    assert isinstance(problem, Refused)
    return error(problem.status, problem.message, problem.retry)


async def _plain(_request: Request, problem: Exception) -> JSONResponse:
    assert isinstance(problem, HTTPException)
    answer = error(problem.status_code, str(problem.detail))
    answer.headers.update(problem.headers or {})  # which methods are allowed, say
    return answer


async def _invalid(_request: Request, problem: Exception) -> JSONResponse:
    """The first thing that is wrong with a body; of what was sent, only fields' names."""
    assert isinstance(problem, RequestValidationError)
    first = problem.errors()[0]
    where = ".".join(str(part) for part in first["loc"] if part != "body")
    return error(400, f"{where}: {first['msg']}" if where else str(first["msg"]))


async def _wrong(_request: Request, problem: Exception) -> JSONResponse:
    return error(404 if isinstance(problem, MissingPromptError) else 400, str(problem))


async def _full(_request: Request, problem: Exception) -> JSONResponse:
    return error(429, str(problem), RETRY_SECONDS)


async def _failed(_request: Request, problem: Exception) -> JSONResponse:
    return error(500, str(problem))
