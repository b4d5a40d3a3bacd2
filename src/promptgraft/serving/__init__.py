"""Serving: any mix of prompts of one frozen model in one running batch."""

from promptgraft.serving.engine import Engine
from promptgraft.serving.request import FullError, Piece, Request, Ticket, Token

__all__ = ["Engine", "FullError", "Piece", "Request", "Ticket", "Token"]
