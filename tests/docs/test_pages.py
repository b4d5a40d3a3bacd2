"""Every code block of the README and of docs/ runs, and prints what the page shows.

Numbers are not compared: here runs are short and data sets small. Words are.
"""

import contextlib
import io
import json
import re
import shlex
import subprocess
from pathlib import Path

import pages
import pytest
import typer
import yaml

from promptgraft import cli

ROOT = Path(__file__).parent.parent.parent
STEPS = 4  # of every tuning
LEFT_OUT = "…"  # as a line of its own: any lines
LIBRARY = "~/.promptgraft/library"
GROUP = typer.main.get_command(cli.app)
OPERATORS = {"|", ">", ">>", "&", "&&", ";"}
RUN_BY_BASH = {"cat", "head", "ls"}
PAGES = {str(page.relative_to(ROOT)): page for page in pages.pages(ROOT)}


def short(code: str) -> str:
    """The same with fewer steps."""
    return re.sub(r"(steps=|--refine |--teach )\d+", rf"\g<1>{STEPS}", code)


def words(output: str) -> list[str]:
    """Lines to compare: without numbers, and without the lines of progress that time decides."""
    lines = [line for line in output.splitlines() if not line.endswith((" left", " scoring"))]
    marks = [(r"\b[0-9a-f]{12}\b", "#"), (r"[▁▂▃▄▅▆▇█]+", "~"), (r"-?\d+([.,:]\d+)*", "#")]
    for pattern, mark in marks:
        lines = [re.sub(pattern, mark, line) for line in lines]
    return [" ".join(line.split()) for line in lines if line.strip()]


def run_command(line: str, place: Path) -> str:
    """What a command prints, errors included."""
    library = str(place / "library")
    parts = shlex.split(line.replace(LIBRARY, library))
    if parts[0] in RUN_BY_BASH:
        return subprocess.run(line, shell=True, check=True, capture_output=True, text=True).stdout
    printed = io.StringIO()
    with (
        contextlib.redirect_stdout(printed),
        contextlib.redirect_stderr(printed),
        pytest.raises(SystemExit) as left,
    ):
        cli.main(parts[1:])
    assert left.value.code == 0, printed.getvalue()
    return printed.getvalue().replace(library, LIBRARY)


def check_command(line: str) -> None:
    """A command that is not run: its words are those that the command takes."""
    name, *arguments = [word for word in shlex.split(line, comments=True) if word != "promptgraft"]
    for number, word in enumerate(arguments):
        if word in OPERATORS:
            arguments = arguments[:number]
            break
    assert name in GROUP.commands, f"promptgraft has no command {name}"
    with contextlib.suppress(typer.Exit):  # --help
        GROUP.commands[name].make_context(name, arguments)


def check_block(block: pages.Block) -> None:
    """What can be said of a block without running it."""
    if block.language == "python":
        compile(block.text, f"line {block.line}", "exec")
    elif block.language == "yaml":
        assert yaml.safe_load(block.text)
    elif block.language == "json":
        json.loads(block.text)
    lines = [command.line for command in block.commands()]
    joined = block.text.replace("\\\n", "")
    lines += [line for line in joined.splitlines() if re.match("promptgraft [a-z]", line)]
    for line in lines:
        if re.match("promptgraft [a-z]", line):
            check_command(line.replace("\\\n", ""))


def compare(block: pages.Block, printed: str, shown: str) -> None:
    """What is shown was printed; a page may leave out what a command prints."""
    if shown.strip() and "varies" in block.words:
        assert printed.strip()
    elif shown.strip():
        found, expected = words(printed), words(shown)
        if LEFT_OUT in expected:
            start = expected.index(LEFT_OUT)
            end = len(found) - len(expected) + start + 1
            found[start:end] = [LEFT_OUT]
        assert found == expected


def run_block(block: pages.Block, place: Path, namespace: dict) -> None:
    if block.language == "python":
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(short(block.text), f"line {block.line}", "exec"), namespace)
        if block.output:
            compare(block, printed.getvalue(), block.output.text)
        return
    for line, shown in block.commands():
        if line.split()[0] not in {"promptgraft", *RUN_BY_BASH}:
            continue  # make demo, make test: another test's
        compare(block, run_command(short(line.replace("\\\n", "")), place), shown)


@pytest.mark.parametrize("name", PAGES)
def test_blocks_run_and_print_what_is_shown(name, place):
    namespace: dict = {"__name__": "page"}
    for block in pages.blocks(PAGES[name].read_text()):
        try:
            check_block(block)
            if block.title:
                (place / block.title).write_text(block.text)
            elif block.runs:
                run_block(block, place, namespace)
        except Exception as error:
            error.add_note(f"in the block at {name}:{block.line}")
            raise


@pytest.mark.parametrize("name", PAGES)
def test_commands_named_in_sentences_have_these_options(name):
    text = pages.FENCE.sub("", PAGES[name].read_text())
    for inline in re.findall(r"`promptgraft ([a-z][^`]*)`", text):
        command, *rest = inline.split()
        assert command in GROUP.commands, inline
        options = {option for known in GROUP.commands[command].params for option in known.opts}
        given = {word.partition("=")[0] for word in rest if word.startswith("-")}
        assert given - {"--help"} <= options, inline


@pytest.mark.parametrize("name", cli.app.registered_commands, ids=lambda command: command.name)
def test_the_examples_of_help_can_be_typed(name):
    lines = name.epilog.replace("\\\n", " ").splitlines()
    for line in lines:
        line = line.strip().removeprefix("$ ")
        if re.match("promptgraft [a-z]", line):
            check_command(line)


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name):
    page = PAGES[name]
    text = pages.FENCE.sub("", page.read_text())
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        if not target.startswith(("http:", "https:")):
            assert (page.parent / target).exists(), f"{name}: {target}"


PAGE = """Text.

```console no-run
$ promptgraft tune sst2 \\
    --model mini/bert-s
one
$ promptgraft ls
```

```python varies
print("two")
```

```
two
```

```json title="file.json"
{}
```
"""


def test_blocks_are_found_with_what_is_said_of_them():
    console, python, file = pages.blocks(PAGE)
    assert [command.output for command in console.commands()] == ["one\n", ""]
    assert console.commands()[0].line.split() == [
        *("promptgraft", "tune", "sst2", "\\", "--model", "mini/bert-s")
    ]
    assert (console.runs, python.runs, console.line) == (False, True, 3)
    assert python.output.text == "two\n"
    assert PAGE[python.output.start :].startswith("two\n```")
    assert (file.title, file.text) == ("file.json", "{}\n")


def test_what_is_not_there_is_noticed():
    check_command("promptgraft tune sst2 --model mini/bert-s steps=3 > log")
    with pytest.raises(Exception, match="No such option: --modle"):
        check_command("promptgraft tune sst2 --modle mini/bert-s")
    with pytest.raises(AssertionError, match="no command tuen"):
        check_command("promptgraft tuen sst2")
    with pytest.raises(Exception, match="Missing parameter: to"):
        check_command("promptgraft transfer sst2@mini/bert-s")


def test_words_are_compared_and_numbers_are_not():
    one = "sst2  600/600  loss 0.419  accuracy 70.7\nsst2  1/6  0:01 left\n ▁▂ d1c454a3a902\n"
    other = "sst2 6/6 loss 1.2 accuracy 50\n▃ 000000000000\n"
    assert words(one) == words(other)
    assert words(one) != words(other.replace("loss", "score"))


def test_lines_may_be_left_out():
    (block,) = pages.blocks("```console\n```\n")
    compare(block, "a\nb\nc\nd\n", "a\n…\nd\n")
    for shown in ("a\n…\nc\n", "b\n…\nd\n", "a\nd\n"):
        with pytest.raises(AssertionError):
            compare(block, "a\nb\nc\nd\n", shown)
