"""Run the examples of the README, the pages and every command's help; write down what they print.

    python scripts/record_examples.py            README and help, in their order
    python scripts/record_examples.py cli        the help of the commands only
    python scripts/record_examples.py PAGE...    pages of docs/, each in a place of its own

Everything runs in a home and a folder of its own, so the first example meets an empty library.
What follows a line `$ command` is replaced by the command's real output, up to the next command,
the end of the block or an empty line; the block after a python block by what that prints.
"""

import contextlib
import io
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pages

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = (
    *("demo", "init", "tune", "sweep", "eval", "score"),
    *("generate", "transfer", "ls", "show", "doctor"),
)
FILES = {"eval": "evaluate"}  # where a file is not named as its command
SHORT = {
    "make demo": "promptgraft demo",
    "make test": f"make -C {ROOT} --no-print-directory test | tail -n 1",
}


class Shell:
    """A folder and a home to run commands in."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.home = folder, folder / "home"
        self.home.mkdir()
        (folder / "examples").symlink_to(ROOT / "examples")
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self.variables = {**os.environ, "HOME": str(self.home), "PATH": path}
        for name in ("PROMPTGRAFT_DATA", "PROMPTGRAFT_LIBRARY"):
            self.variables.pop(name, None)

    def __call__(self, command: str) -> str:
        """What a command prints, errors included; it must succeed."""
        print(f"$ {command}", flush=True)
        done = subprocess.run(
            ["bash", "-c", SHORT.get(command, command)],
            cwd=self.folder,
            env=self.variables,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        print(done.stdout, flush=True)
        if done.returncode:
            sys.exit(f"{command!r} ended with {done.returncode}")
        return done.stdout.replace(str(self.home), "~").strip("\n")


def recorded(shell: Shell, text: str) -> str:
    """A block with the output of every `$ command` in it brought up to date."""
    commands = re.findall(r"^\$ ((?:.*\\\n)*.*)", text, flags=re.MULTILINE)
    return "\n".join(f"$ {command}\n{shell(command)}" for command in commands)


def record_readme(shell: Shell) -> None:
    def block(found: re.Match[str]) -> str:
        return f"```\n{recorded(shell, found[1])}\n```"

    def program(found: re.Match[str]) -> str:
        (shell.folder / "program.py").write_text(found[1])
        return f"{fence}\n{found[1]}```\n\n```\n{shell('python program.py')}\n```"

    file, fence = ROOT / "README.md", "```python varies"
    text = re.sub(r"^```\n(\$ .*?)\n```$", block, file.read_text(), flags=re.M | re.S)
    text = re.sub(rf"^{fence}\n(.*?)```(?:\n\n```\n.*?\n```)?$", program, text, flags=re.M | re.S)
    file.write_text(text)


def record_page(shell: Shell, file: Path) -> None:
    """Console blocks by the shell; python blocks, which go on from each other, in this process."""
    os.environ.update(HOME=str(shell.home))
    os.environ.pop("PROMPTGRAFT_LIBRARY", None)
    os.environ.pop("PROMPTGRAFT_DATA", None)
    os.chdir(shell.folder)
    text = file.read_text()
    namespace: dict[str, object] = {}
    made: list[tuple[pages.Block, str]] = []  # what stands in a block's place
    for block in filter(lambda block: block.runs, pages.blocks(text)):
        if block.title:
            (shell.folder / block.title).write_text(block.text)
        elif block.language == "python":
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                exec(block.text, namespace)
            if block.output:
                made.append((block.output, printed.getvalue()))
        elif block.language == "console":
            made.append((block, recorded(shell, block.text) + "\n"))
    for block, new in reversed(made):
        text = text[: block.start] + new + text[block.start + len(block.text) :]
    file.write_text(text)


def record_help(shell: Shell, name: str) -> None:
    def block(found: re.Match[str]) -> str:
        output = recorded(shell, found[1].replace("\\\\", "\\")).replace("\\", "\\\\")
        paragraphs = re.sub(r"\n\n+", "\n\n\\\\b\n", output)
        return f"Example:\n{paragraphs}{found[2]}"

    file = ROOT / f"src/promptgraft/cli/{FILES.get(name, name)}.py"
    pattern = r'Example:\n(.*?)(\n""")'
    file.write_text(re.sub(pattern, block, file.read_text(), count=1, flags=re.DOTALL))


def main() -> None:
    files = [Path(word).resolve() for word in sys.argv[1:] if word != "cli"]
    for file in files:
        with tempfile.TemporaryDirectory() as folder:
            record_page(Shell(Path(folder)), file)
    if files:
        return
    with tempfile.TemporaryDirectory() as folder:
        shell = Shell(Path(folder))
        if sys.argv[1:] != ["cli"]:
            record_readme(shell)
        for name in COMMANDS:
            record_help(shell, name)


if __name__ == "__main__":
    main()
