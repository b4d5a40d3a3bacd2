"""Two writers, several readers and kill -9 at random: nothing lost, nothing half there."""

import json
import os
import random
import signal
import sqlite3
import time
import traceback
from pathlib import Path

import torch

from promptgraft.errors import PromptgraftError
from promptgraft.library import Library
from promptgraft.prompts import ModelReference, PromptCard, SoftPrompt, load_card

KILLS, WRITERS, READERS, NAMES = 200, 2, 3, 6
LONGEST = 0.06  # seconds until a kill; an operation takes a part of it
BASE = ModelReference(
    name="mini/bert-s", fingerprint="ab", tokenizer_hash="cd", family="masked", embedding_size=32
)
SHARED = "both@m"
State = dict[str, int | None]


def soft(number: int) -> SoftPrompt:
    card = PromptCard(kind="soft-prompt", length=8, base=BASE, seed=number)
    return SoftPrompt(torch.full((8, 32), float(number)), card)


def is_whole(prompt: SoftPrompt) -> bool:
    return bool((prompt.vectors == prompt.card.seed).all())


def change(library: Library, state: State, me: str, number: int, dice: random.Random) -> State:
    """Do one thing; returns the names that it concerns, each with its new number."""
    there = [name for name, value in state.items() if value is not None]
    absent = [f"{me}-{n}@m" for n in range(NAMES) if f"{me}-{n}@m" not in there]
    kind = dice.choice(["add", "many", "replace", "replace", "remove", "rename", "tag", "shared"])
    name, new = (dice.choice(names) if names else None for names in (there, absent))
    if kind == "add" and new:
        return {new: number, "do": ("add", new)}
    if kind == "many":
        chosen = dict.fromkeys(dice.sample(absent, min(3, len(absent))), number)
        return {**chosen, "do": ("many", list(chosen))}
    if kind == "rename" and name and new:
        return {name: None, new: state[name], "do": ("rename", name, new)}
    if kind == "tag" and name and ":" not in name and state.get(f"{name}:t") is None:
        return {f"{name}:t": state[name], "do": ("tag", name)}
    if kind == "remove" and name:
        return {name: None, "do": ("remove", name)}
    if kind == "replace" and name:
        return {name: number, "do": ("replace", name)}
    return {"do": ("shared",)}


def do(library: Library, number: int, verb: str, *names: str) -> None:
    if verb == "many":
        library.add_all((soft(number), name) for name in names[0])
    elif verb in ("add", "replace"):
        library.add(soft(number), names[0], replace=verb == "replace")
    elif verb == "rename":
        library.rename(*names)
    elif verb == "tag":
        library.tag(names[0], "t")
    elif verb == "remove":
        library.remove(names[0])
        if number % 5 == 0:
            library.empty_trash()
    else:
        library.add(soft(number), SHARED, replace=True)


def write(root: Path, log: Path, me: str, state: State, first: int) -> None:
    """Change prompts for ever; before and after each change there is a line in the log."""
    dice = random.Random(first)
    library = Library(root)
    with log.open("a", buffering=1) as lines:
        for number in range(first, first + 10**6):
            plan = change(library, state, me, number, dice)
            verb, *names = plan.pop("do")
            lines.write(json.dumps(plan) + "\n")
            do(library, number, verb, *names)
            state |= plan
            lines.write("done\n")


def read(root: Path) -> None:
    """Look for ever; every prompt that is seen is whole."""
    library, dice = Library(root), random.Random()
    while True:
        names = [entry.name for entry in library.list(where="seed>=0")]
        assert not library.list().broken
        for name in dice.sample(names, min(3, len(names))):
            try:
                prompt = library.get(name)
                assert is_whole(prompt)
                library.similar(prompt, 3)
            except PromptgraftError as error:
                assert str(error).startswith(f"no prompt {name}")  # noqa: PT017


def start(errors: Path, work, *arguments) -> int:
    child = os.fork()
    if child:
        return child
    signal.alarm(300)  # in case that the parent is gone
    try:
        work(*arguments)
    except BaseException:
        with errors.open("a") as lines:
            lines.write(traceback.format_exc())
    finally:
        os._exit(1)


def kill(child: int, errors: Path) -> None:
    os.kill(child, signal.SIGKILL)
    ended = os.WTERMSIG(os.waitpid(child, 0)[1])
    assert ended == signal.SIGKILL, errors.read_text()  # else it had an end of its own


def settle(root: Path, log: Path, me: str, state: State) -> State:
    """What the library holds of a killed writer: all that it finished, and of what it had begun
    each part or not."""
    lines = log.read_text().splitlines()
    plan: State = {}
    for line in lines:
        if line == "done":
            state |= plan
            plan = {}
        else:
            plan = json.loads(line)
    log.write_text("")
    library = Library(root)
    found: State = {e.name: e.card.seed for e in library.list(f"{me}-*")}
    for name in state.keys() | plan.keys() | found.keys():
        allowed = [state.get(name)] + ([plan[name]] if name in plan else [])
        assert found.get(name) in allowed, (name, found.get(name), allowed)
        if found.get(name) is not None:
            prompt = library.get(name)
            assert is_whole(prompt)
            assert prompt.card.seed == found[name]  # the index says what the folder says
    if list(plan.values())[:1] == [None] and len(plan) == 2:  # a rename
        assert sum(found.get(name) is not None for name in plan) == 1
    return dict(found)


def test_kills_at_random_lose_nothing(tmp_path):
    root, errors = tmp_path / "library", tmp_path / "errors"
    dice = random.Random(0)
    Library(root).add(soft(1), SHARED)
    logs = {f"w{n}": tmp_path / f"log{n}" for n in range(WRITERS)}
    states: dict[str, State] = {me: {} for me in logs}
    done = dict.fromkeys(logs, 0)

    def writer(me: str, turn: int) -> int:
        return start(errors, write, root, logs[me], me, dict(states[me]), 10**6 * (turn + 1))

    writers = {me: writer(me, n) for n, me in enumerate(logs)}
    readers = [start(errors, read, root) for _ in range(READERS)]
    try:
        for turn in range(KILLS):
            time.sleep(dice.uniform(0, LONGEST))
            if turn % 5 == 4:
                kill(readers.pop(0), errors)
                readers.append(start(errors, read, root))
                continue
            me = dice.choice(list(logs))
            kill(writers.pop(me), errors)
            done[me] += logs[me].read_text().count("done")
            states[me] = settle(root, logs[me], me, states[me])
            writers[me] = writer(me, turn + WRITERS)
    finally:
        for child in (*writers.values(), *readers):
            kill(child, errors)
    assert not errors.exists(), errors.read_text()
    assert all(done.values())  # they came to something between the kills
    library = Library(root)
    for me, log in logs.items():
        settle(root, log, me, states[me])
    assert is_whole(library.get(SHARED))
    listing = library.list()
    assert library.verify() == (len(listing), [])
    assert all(entry.card == load_card(entry.path) for entry in listing)
    shown = {path.parent.name for path in root.glob("[!.]?/*/prompt.json")}
    assert len(shown) == len(listing)
    assert not [path for path in root.glob("[!.]?/.*") if ".old-" in path.name]
    stored = sqlite3.connect(library.index.database.path)
    assert stored.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    stored.close()
