"""Serving: any mix of prompts of one frozen model in one running batch."""

from promptgraft.serving.engine import Engine
from promptgraft.serving.problems import FailedError, FullError
from promptgraft.serving.request import Piece, Request, Ticket, Token

__all__ = ["Engine", "FailedError", "FullError", "Piece", "Request", "Ticket", "Token"]
