"""The code blocks of Markdown pages: tests run them, record_examples.py writes down their output.

The info string of a fence says what a block is. Its first word is the language:

    console  lines `$ command`, each with the output that it printed
    python   the blocks of a page are one program; a block without a language, or with `text`,
             that follows is what it printed

and the words after it are

    no-run   it needs a hub, a server or hours: commands are only parsed, programs only compiled
    varies   it is run, but words of its output hang on the last digits of a computation
    title="FILE"  the block is a file, which the blocks after it find
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

FENCE = re.compile(r"^```(\w*)([^\n`]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^\$ ((?:.*\\\n)*.*)\n?((?:(?!\$ ).*\n)*)", re.MULTILINE)


class Command(NamedTuple):
    """A line of a console block, and what is shown below it."""

    line: str
    output: str


@dataclass
class Block:
    """A fenced block.

    text    between the fences, with a newline at its end
    start   where in the page's text that begins
    output  of a python block: the block below that shows what it prints
    """

    language: str
    words: list[str]
    text: str
    start: int
    line: int
    output: Block | None = field(default=None, repr=False)

    @property
    def runs(self) -> bool:
        return "no-run" not in self.words

    @property
    def title(self) -> str | None:
        found = re.search(r'title="([^"]+)"', " ".join(self.words))
        return found[1] if found else None

    def commands(self) -> list[Command]:
        return [Command(*found.groups()) for found in COMMAND.finditer(self.text)]


def blocks(text: str) -> list[Block]:
    """The blocks of a page in their order, what python blocks print not among them."""
    found: list[Block] = []
    end = 0
    for match in FENCE.finditer(text):
        language, words, inside = match.groups()
        line = text.count("\n", 0, match.start()) + 1
        block = Block(language, words.split(), inside, match.start(3), line)
        before = found[-1] if found else None
        follows = before is not None and not text[end : match.start()].strip()
        if before and follows and before.language == "python" and language in ("", "text"):
            before.output = block
        else:
            found.append(block)
        end = match.end()
    return found


def pages(root: Path) -> list[Path]:
    """The README and the pages of the site."""
    return [root / "README.md", *sorted((root / "docs").rglob("*.md"))]
