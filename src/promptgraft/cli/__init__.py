"""The command line: one file per subcommand, each parses, calls `api` and prints."""

import os
import sys
import traceback
from collections.abc import Sequence

import typer

from promptgraft.cli import (
    cluster,
    completion,
    demo,
    diff,
    doctor,
    evaluate,
    explain,
    export,
    gc,
    generate,
    import_,
    index,
    init,
    ls,
    pack,
    pull,
    push,
    recommend,
    rename,
    report,
    rm,
    score,
    serve,
    show,
    similar,
    study,
    sweep,
    tag,
    terminal,
    transfer,
    tune,
    ui,
    verify,
)
from promptgraft.errors import BadFileError, PromptgraftError, StoppedError, WrongModelError

WRONG, DAMAGED, BUG, STOPPED = 1, 3, 70, 130  # 2, wrong usage, is typer's

EPILOG = """\b
Exit codes:
    0  done
    1  something to correct: a setting, a name, the data
    2  no such command or option
    3  a file is damaged, or a prompt belongs to another model
   70  a bug in promptgraft
  130  stopped with Ctrl-C

\b
--debug, anywhere on the line, shows where an error comes from.
--json prints the result, and nothing else, to standard output.
"""

app = typer.Typer(
    help="Tune a prompt of a frozen language model once; graft it onto other tasks and models.",
    epilog=EPILOG,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
for name, module in {
    "demo": demo,
    "init": init,
    "tune": tune,
    "eval": evaluate,
    "generate": generate,
    "score": score,
    "transfer": transfer,
    "ls": ls,
    "show": show,
    "similar": similar,
    "cluster": cluster,
    "explain": explain,
    "recommend": recommend,
    "diff": diff,
    "tag": tag,
    "rename": rename,
    "rm": rm,
    "gc": gc,
    "verify": verify,
    "pack": pack,
    "import": import_,
    "export": export,
    "push": push,
    "pull": pull,
    "report": report,
    "index": index,
    "serve": serve,
    "ui": ui,
    "study": study,
    "sweep": sweep,
    "doctor": doctor,
}.items():
    app.command(name, epilog=module.EPILOG)(module.command)
completion.teach_bash()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and leave the process with its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    if not debug:
        terminal.silence()
    try:
        _check_letters(words)
        app(words, prog_name="promptgraft")
    except (PromptgraftError, OSError) as error:
        if debug:
            traceback.print_exc()
        terminal.note(f"promptgraft: {_line(error)}")
        sys.exit(_code(error))
    except Exception:
        traceback.print_exc()
        terminal.note("promptgraft: this is a bug; please report it with the lines above.")
        sys.exit(BUG)


def _check_letters(words: Sequence[str]) -> None:
    for word in words:
        try:
            word.encode()
        except UnicodeEncodeError:  # it could be neither printed nor stored
            shown = os.fsencode(word).decode(errors="backslashreplace")
            raise PromptgraftError(f"{shown} is not UTF-8; names and texts must be.") from None


def _line(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def _code(error: Exception) -> int:
    if isinstance(error, StoppedError):
        return STOPPED
    return DAMAGED if isinstance(error, (BadFileError, WrongModelError)) else WRONG
