"""`promptgraft ls`: the prompts of the library."""

from typing import Annotated

import typer

from promptgraft.cli import terminal
from promptgraft.cli.options import Json, LibraryPath, opened

EPILOG = """\b
In a filter: = != > >= < <=, ~ for a glob, and, or, not, parentheses; a field alone
asks whether the card has it. Fields as in `show --json`; the front may be left out.

\b
Example:
$ promptgraft ls
NAME                             KIND         LENGTH  TEST                    CREATED (UTC)
e2e@mini/gpt2-m:demo             prefix           10  bleu 38.8, rougeL 49.9  2026-11-22 09:57
reviews@mini/bert-m              soft-prompt      20                          2026-11-22 09:53
reviews@mini/bert-s              soft-prompt      20  accuracy 93.3           2026-11-22 09:53
sst2@mini/bert-m                 soft-prompt      20                          2026-11-22 09:59
sst2@mini/bert-m:demo            soft-prompt       5                          2026-11-22 09:55
sst2@mini/bert-s                 soft-prompt      20  accuracy 71.0           2026-11-22 09:58
sst2@mini/bert-s:demo            soft-prompt       5  accuracy 68.1           2026-11-22 09:55
sst2@mini/bert-s:sweep-153e782f  prefix           20  accuracy 69.8           2026-11-22 09:59
sst2@mini/bert-s:sweep-1de44cdc  soft-prompt      20  accuracy 69.4           2026-11-22 09:59
sst2@mini/bert-s:sweep-708ea695  soft-prompt      20  accuracy 68.3           2026-11-22 09:59
sst2@mini/bert-s:sweep-d687aa79  prefix           20  accuracy 68.8           2026-11-22 09:59
sst2@mini/bert-s:sweep-ee23bdfc  soft-prompt      20  accuracy 69.7           2026-11-22 09:58
sst2@mini/bert-s:sweep-ff69ad38  prefix           20  accuracy 69.8           2026-11-22 09:59
$ promptgraft ls '*@mini/*' --where 'metric.accuracy>80 and created>2026-03'
NAME                 KIND         LENGTH  TEST           CREATED (UTC)
reviews@mini/bert-s  soft-prompt      20  accuracy 93.3  2026-11-22 09:53
"""


def command(
    pattern: Annotated[
        str, typer.Argument(metavar="GLOB", help="Names, such as 'sst2@*' or '*@mini/*'.")
    ] = "*",
    where: Annotated[
        str | None,
        typer.Option(metavar="FILTER", help="On card fields, as in the example."),
    ] = None,
    duplicates: Annotated[
        bool, typer.Option("--duplicates", help="Only groups of names with the same numbers.")
    ] = False,
    library: LibraryPath = None,
    as_json: Json = False,
) -> None:
    """List the prompts of the library."""

    store = opened(library)
    if duplicates:
        listed = {entry.name for entry in store.list(pattern, where)}
        among = ([name for name in group if name in listed] for group in store.duplicates())
        groups = [group for group in among if len(group) > 1]
        if as_json:
            terminal.print_json(groups)
        for group in () if as_json else groups:
            print("  ".join(group))
        return
    entries = store.list(pattern, where)
    for broken in entries.broken:
        terminal.note(f"broken: {broken.reason}")
    if as_json:
        terminal.print_json(
            [
                {"name": entry.name, "path": entry.path, "card": entry.card.model_dump(mode="json")}
                for entry in entries
            ]
        )
        return
    if not entries:
        like = "" if pattern == "*" else f" like {pattern}"
        terminal.note(f"No prompts{like}{f' with {where}' if where else ''} in {store.path}.")
        return
    rows = []
    for entry in entries:
        card = entry.card
        tests = [
            f"{key.removeprefix('test.')} {value:.1f}"
            for key, value in card.metrics.items()
            if key.startswith("test.")
        ]
        made = (card.created or "").replace("T", " ").removesuffix("Z")[:16]
        kind = "ensemble" if card.is_ensemble else card.kind
        rows.append((entry.name, kind, str(card.length), ", ".join(tests[:2]), made))
    terminal.print_table(("NAME", "KIND", "LENGTH", "TEST", "CREATED (UTC)"), rows)
