"""The web page of a library (`promptgraft ui`): one file per tab, each lays out and calls `api`."""

from promptgraft.serving.web.app import application
from promptgraft.serving.web.desk import Desk

__all__ = ["Desk", "application"]
