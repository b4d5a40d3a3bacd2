"""`promptgraft ui`: the library, and prompts to try, in a browser."""

from __future__ import annotations

from typing import Annotated

import typer

from promptgraft.cli import completion, terminal
from promptgraft.cli.options import LOOPBACK, LibraryPath

EPILOG = """\b
Example:
  promptgraft ui
  promptgraft ui --model mini/bert-s --model mini/gpt2-m --port 8080
  promptgraft ui --write
"""


def command(
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model", "-m",
            help="One that may be used; repeat it. [default: the minis, and those of the prompts]",
            autocompletion=completion.models,
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = 7860,
    write: Annotated[
        bool, typer.Option("--write", help="Allow to keep moved prompts and to tune.")
    ] = False,
    library: LibraryPath = None,
) -> None:  # fmt: skip
    """Show the library in a browser.

    Find prompts and read their cards, ask several of them the same, see how alike they are, move
    them to other models; with --write also keep and tune. It asks no other machine for anything.
    """
    import socket

    from promptgraft.errors import ConfigError

    if write and host not in LOOPBACK:
        raise ConfigError(
            f"With --write anybody who reaches {host} could fill the disk, so it listens on "
            "127.0.0.1 only. From elsewhere: ssh -L 7860:127.0.0.1:7860 THIS-MACHINE"
        )
    try:
        import uvicorn

        from promptgraft.serving.web import Desk, application
    except ImportError as error:
        raise ConfigError(f"The page needs {error.name}: pip install 'promptgraft[ui]'.") from None
    from promptgraft.library import Library

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        place = socket.create_server(
            (host, port), family=family
        )  # a browser that comes early waits
    except OSError as error:
        raise ConfigError(f"Cannot listen on {host}, port {port}: {error.strerror}.") from None
    with terminal.waiting("laying out the page"):
        app = application(Desk(Library(library), model or (), write))
    config = uvicorn.Config(app, host=host, port=port, log_level="warning",
                            timeout_graceful_shutdown=1)  # open tabs never hang up  # fmt: skip
    found = f"[{host}]" if ":" in host else host
    terminal.note(f"http://{found}:{place.getsockname()[1]}  Ctrl-C ends it")
    if host not in LOOPBACK:
        terminal.note(f"Anybody who reaches {host} can read the library and use the models.")
    uvicorn.Server(config).run(sockets=[place])
