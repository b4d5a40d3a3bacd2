"""A server that runs for the length of a test."""

import socket
import threading
import time

import httpx
import uvicorn


class Running:
    """A server on a free port of this machine, in a thread."""

    def __init__(self, server):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.server = server
        self.uvicorn = uvicorn.Server(
            uvicorn.Config(
                server.app,
                host="127.0.0.1",
                port=port,
                log_level="error",
                timeout_graceful_shutdown=1,  # open tabs never hang up
            )
        )
        self.thread = threading.Thread(target=self.uvicorn.run, daemon=True)
        self.client = httpx.Client(base_url=self.url, timeout=30, verify=False)

    def __enter__(self):
        self.thread.start()
        for _ in range(200):
            if self.uvicorn.started:
                return self
            time.sleep(0.05)
        raise TimeoutError

    def __exit__(self, *_):
        self.client.close()
        self.uvicorn.should_exit = True
        self.thread.join(20)
        assert not self.thread.is_alive()

    def post(self, path, **body):
        return self.client.post(path, json=body)
