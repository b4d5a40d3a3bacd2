"""What Prometheus is told of a server."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from promptgraft.serving.choices import Chooser
from promptgraft.serving.engine import Engine


class Measures:
    """Counters of what was answered, and gauges of what is there now."""

    def __init__(self, engine: Engine | None, chooser: Chooser) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("promptgraft_requests", "Requests by endpoint and status",
                                ["endpoint", "status"], registry=self.registry)  # fmt: skip
        self.seconds = Histogram("promptgraft_seconds", "Seconds until an answer is complete",
                                 ["endpoint"], registry=self.registry)  # fmt: skip
        self.tokens = Counter("promptgraft_tokens", "Tokens written", registry=self.registry)
        prompts, choosing = chooser.prompts, chooser.queue
        self._gauge("promptgraft_prompts", "Prompts in memory", lambda: len(prompts.kept))
        self._gauge("promptgraft_prompt_bytes", "Their bytes", lambda: prompts.bytes)
        self._gauge("promptgraft_choosing", "Rows waiting for a choice", lambda: len(choosing))
        if engine is not None:
            self._gauge("promptgraft_waiting", "Requests waiting", lambda: len(engine.queue))
            self._gauge("promptgraft_rows", "Rows being written", lambda: len(engine.active))

    def exposition(self) -> bytes:
        """All of it as Prometheus reads it."""
        return generate_latest(self.registry)

    def _gauge(self, name: str, what: str, read: Callable[[], float]) -> None:
        Gauge(name, what, registry=self.registry).set_function(read)
