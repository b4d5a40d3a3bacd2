"""What a shell offers on TAB: prompts of the library, minis, tasks. Nothing heavy is imported."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote

import typer

# Typer's own script takes the words as bash has divided them, at every @ and : of a prompt's name.
# Here they are divided at blanks; of an answer bash then wants what follows its own last division.
BASH = """
%(complete_func)s() {
    local IFS=$' \\t\\n' line="${COMP_LINE:0:COMP_POINT}" words
    read -ra words <<< "$line"
    [[ "$line" == *[[:space:]] ]] && words+=("")
    local last=$(( ${#words[@]} - 1 ))
    local before="${words[last]%%"$2"}"
    IFS=$'\\n'
    COMPREPLY=( $( env COMP_WORDS="$line" COMP_CWORD=$last %(autocomplete_var)s=complete_bash $1 ) )
    COMPREPLY=( "${COMPREPLY[@]#"$before"}" )
}

complete -o default -F %(complete_func)s %(prog_name)s
"""


def teach_bash() -> None:
    """Put that script in the place of typer's."""
    from typer import _completion_shared

    _completion_shared._completion_scripts["bash"] = BASH


def prompts(context: typer.Context, incomplete: str) -> list[str]:
    """The names in the library that begin so, read from its folders (library/store.py)."""
    given = context.params.get("library") or os.environ.get("PROMPTGRAFT_LIBRARY")
    root = Path(given or "~/.promptgraft/library").expanduser()
    folders = [*root.glob("*@*"), *root.glob("[0-9a-f][0-9a-f]/*@*")]
    return sorted(name for one in folders if (name := unquote(one.name)).startswith(incomplete))


def models(incomplete: str) -> list[str]:
    """The minis that begin so."""
    from promptgraft import minis

    return [name for name in minis.names() if name.startswith(incomplete)]


def tasks(incomplete: str) -> list[str]:
    """The tasks at hand that begin so."""
    from promptgraft.errors import PromptgraftError
    from promptgraft.tasks import builtin

    try:
        return [name for name in builtin.at_hand() if name.startswith(incomplete)]
    except PromptgraftError:  # the data folder is wrong, as the command itself will say
        return []
