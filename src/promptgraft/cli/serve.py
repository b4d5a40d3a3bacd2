"""`promptgraft serve`: a model with all prompts of a library, over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from promptgraft.cli import completion, terminal
from promptgraft.cli.options import LOOPBACK, LibraryPath, Ray

EPILOG = """\b
Example:
  promptgraft serve --model mini/gpt2-m
  curl http://127.0.0.1:8000/v1/completions -H 'content-type: application/json' \\
      -d '{"model": "e2e@mini/gpt2-m", "prompt": "name : The Eagle | food : French"}'

\b
With keys, of which the file holds the hashes:
  promptgraft serve --new-key alice >> keys.yaml
  promptgraft serve --model mini/gpt2-m --keys keys.yaml --host 0.0.0.0

\b
On a Ray cluster; a request goes to a copy that has its prompt, and to another if that one dies:
  promptgraft serve --model mini/gpt2-m --ray local --replicas 2
"""


def command(
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help="A mini, a local folder or a hub model.",
            autocompletion=completion.models,
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = 8000,
    keys: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Who may use it. Without it only this machine may."),
    ] = None,
    new_key: Annotated[
        str | None, typer.Option(metavar="NAME", help="Make a key, print its entry, and end.")
    ] = None,
    dtype: Annotated[
        str,
        typer.Option(help="auto may be bfloat16; by its rounding a text depends on its company."),
    ] = "auto",
    rows: Annotated[int, typer.Option(min=1, help="Texts written at once.")] = 64,
    waiting: Annotated[int, typer.Option(min=1, help="Requests that may wait.")] = 1024,
    prompt_mb: Annotated[int, typer.Option(min=1, help="Memory for prompts in use.")] = 1024,
    ray: Ray = None,
    replicas: Annotated[int, typer.Option(min=1, help="Copies on the Ray cluster.")] = 2,
    library: LibraryPath = None,
) -> None:
    """Serve a model with all prompts of a library.

    OpenAI's /v1/completions (`model` is the prompt's name), /v1/classify, /v1/fill, /v1/models.
    SIGTERM: it takes no more requests, answers those that are there, and ends.
    """
    from promptgraft.errors import ConfigError

    try:
        import uvicorn

        from promptgraft.serving.http import Server
    except ImportError as error:
        raise ConfigError(
            f"Serving needs {error.name}: pip install 'promptgraft[serve]'."
        ) from None
    from promptgraft.library import Library
    from promptgraft.models import FrozenModel
    from promptgraft.serving.keys import Keys
    from promptgraft.serving.keys import new_key as make_key

    if new_key is not None:
        secret, entry = make_key(new_key)
        terminal.note(f"The key of {new_key}, shown this once: {secret}")
        print(entry, end="")
        return
    if model is None:
        raise typer.BadParameter("name the --model to serve.")
    if keys is None and host not in LOOPBACK:
        raise ConfigError(
            f"Without --keys anybody at {host} could use it, so it serves on 127.0.0.1 only."
        )
    known = Keys(keys) if keys is not None else None
    if ray is not None:
        engine = {"rows": rows, "waiting": waiting, "prompt_bytes": prompt_mb * 2**20}
        _on_ray(model, dtype, Library(library).path, keys, ray, replicas, host, port, engine)
        return
    with terminal.waiting(f"loading {model}"):
        frozen = FrozenModel.load(model, dtype=dtype)
    server = Server(frozen, Library(library), known, rows=rows, waiting=waiting,
                    prompt_bytes=prompt_mb * 2**20)  # fmt: skip
    patience = round(server.limits.seconds + server.limits.body_seconds)
    uvicorn.run(server.app, host=host, port=port, log_level="warning", timeout_keep_alive=30,
                timeout_graceful_shutdown=patience)  # fmt: skip


def _on_ray(model: str, *settings: Any) -> None:
    """Serve on a Ray cluster until SIGTERM or Ctrl-C."""
    import signal
    import threading

    from promptgraft.errors import ConfigError

    try:
        from promptgraft.serving.on_ray import deploy, withdraw
    except ImportError as error:
        raise ConfigError(f"This needs {error.name}: pip install 'promptgraft[ray]'.") from None
    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    try:
        with terminal.waiting(f"loading {model}"):
            deploy(model, *settings)
        over.wait()
    finally:
        withdraw()
