"""Dialogue: PersonaChat, DailyDialog, Topical-Chat, DSTC7-AVSD and MultiWOZ.

The source is what is known beforehand (a persona, a caption) and up to five turns before the
answer: `fact [SEP] fact [X_SEP] turn [SEP] turn`, without the first part where nothing is known.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from promptgraft.errors import DataError
from promptgraft.tasks.published.form import Form, as_they_are, need, objects
from promptgraft.tasks.readers import Placed, Row, document, lines

TURNS = 5
HIDDEN = "__UNDISCLOSED__"  # an answer of AVSD's test set that is to be given


def row(facts: Sequence[str], before: Sequence[str], references: list[str]) -> Row:
    """The row for an answer."""
    known = " [SEP] ".join(fact.strip() for fact in facts)
    turns = " [SEP] ".join(turn.strip() for turn in before[-TURNS:])
    return {"source": " [X_SEP] ".join(filter(None, (known, turns))), "references": references}


def _answers(turns: Sequence[str], numbers: Iterable[int]) -> Iterator[Row]:
    for number in numbers:
        if turns[number].strip():
            yield row((), turns[:number], [turns[number].strip()])


# PersonaChat: ParlAI's text files, or the JSON of Hugging Face's ConvAI2 system.


def _persona_records(file: Path, split: str) -> Placed:
    if file.suffix == ".json":
        content = document(file)
        name = {"train": "train", "validation": "valid"}.get(split)
        dialogues = content.get(name) if isinstance(content, dict) else None
        if not isinstance(dialogues, list):
            raise DataError(f"{file}: no list of dialogues as {name!r}.")
        yield from as_they_are(file, dialogues, f"{name} dialogue")
        return
    place, record = "", Row()
    for number, line in enumerate(lines(file), start=1):
        found = re.match(r"(\d+) (.*)", line.rstrip("\n"))
        if found is None:
            raise DataError(
                f"{file}, line {number}: expected a number and a text, got {line[:60]!r}"
            )
        if found[1] == "1" or not place:
            if record:
                yield place, record
            place, record = f"{file}, line {number}", {"personality": [], "turns": []}
        if found[2].startswith(("your persona: ", "partner's persona: ")):
            if found[2].startswith("your"):
                record["personality"].append(found[2].removeprefix("your persona: "))
        elif "\t" in found[2]:
            record["turns"] += found[2].split("\t")[:2]
        else:
            raise DataError(f"{file}, line {number}: no tab between a turn and its answer.")
    if record:
        yield place, record


def _persona(place: str, record: Row, training: bool) -> Iterator[Row]:
    """The answers of the second speaker, whose persona is known."""
    facts = need(place, record, "personality", "persona")
    if "turns" in record:
        turns = record["turns"]
        for number in range(1, len(turns), 2):
            yield row(facts, turns[:number], [turns[number].strip()])
        return
    for turn in record.get("utterances", [record]):  # the hub has a row for each answer
        answer = need(place, turn, "candidates")[-1]  # the true one is the last
        yield row(facts, need(place, turn, "history"), [answer])


# DailyDialog: a dialogue to a line; the hub has a list.


def _daily_records(file: Path, split: str) -> Placed:
    for number, line in enumerate(lines(file), start=1):
        if line.strip():
            turns = line.strip().removesuffix("__eou__").split("__eou__")
            yield f"{file}, line {number}", {"dialog": turns}


def _daily(place: str, record: Row, training: bool) -> Iterator[Row]:
    turns = need(place, record, "dialog", "utterances")
    yield from _answers(turns, range(1, len(turns)))


# Topical-Chat: one object, name -> conversation.


def _by_name(file: Path, split: str) -> Placed:
    content = document(file)
    if not isinstance(content, dict):
        raise DataError(f"{file}: expected an object with a dialogue for each name.")
    for name, dialogue in content.items():
        if not isinstance(dialogue, dict):
            raise DataError(f"{file}, {name}: expected an object, got {str(dialogue)[:60]}.")
        yield f"{file}, {name}", dialogue


def _topical(place: str, record: Row, training: bool) -> Iterator[Row]:
    turns = [
        need(place, turn, "message") for turn in objects(place, need(place, record, "content"))
    ]
    yield from _answers(turns, range(1, len(turns)))


# DSTC7-AVSD: questions and answers about a video, which the caption stands for.


def _avsd_records(file: Path, split: str) -> Placed:
    content = document(file)
    dialogues = content.get("dialogs") if isinstance(content, dict) else None
    if not isinstance(dialogues, list):
        raise DataError(f"{file}: expected an object with a list 'dialogs'.")
    yield from as_they_are(file, dialogues, "dialogue")


def _avsd(place: str, record: Row, training: bool) -> Iterator[Row]:
    """Every answer that is disclosed; several references where the file lists several."""
    facts = [need(place, record, "caption")]
    before: list[str] = []
    for turn in need(place, record, "dialog"):
        answers: Any = need(place, turn, "answer")
        answers = [answers] if isinstance(answers, str) else answers
        before.append(need(place, turn, "question"))
        if answers != [HIDDEN]:
            yield row(facts, before, list(answers))
        before.append(answers[0])


# MultiWOZ: data.json with lists of the validation and test dialogues (2.0, 2.1), or 2.2's files.


def _multiwoz_records(file: Path, split: str) -> Placed:
    if file.name != "data.json":
        yield from as_they_are(file, document(file), "dialogue")
        return
    listed = {name: _names(file, stem) for name, stem in (("validation", "val"), ("test", "test"))}
    others = {name for names in listed.values() for name in names}
    for place, record in _by_name(file, split):
        name = place.rpartition(", ")[2]
        if name in listed.get(split, ()) or (split == "train" and name not in others):
            yield place, record


def _names(file: Path, stem: str) -> set[str]:
    """The dialogues of a split, one to a line."""
    found = [file.with_name(f"{stem}ListFile.{ending}") for ending in ("json", "txt")]
    path = next(filter(Path.is_file, found), None)
    if path is None:
        raise DataError(
            f"{file} needs {found[0].name} beside it, the list of that split's dialogues."
        )
    return {line.strip() for line in lines(path)}


def _multiwoz(place: str, record: Row, training: bool) -> Iterator[Row]:
    """The answers of the system, who speaks second."""
    turns = objects(place, need(place, record, "log", "turns"))
    texts = [need(place, turn, "text", "utterance") for turn in turns]
    yield from _answers(texts, range(1, len(texts), 2))


def _splits(train: Iterable[str], validation: Iterable[str], test: Iterable[str] = ()) -> Any:
    return {"train": tuple(train), "validation": tuple(validation), "test": tuple(test)}


personachat = Form(
    _splits(
        ["train_self_original.txt", "train_self_original_no_cands.txt", "personachat_*.json"],
        ["valid_self_original.txt", "valid_self_original_no_cands.txt", "personachat_*.json"],
        ["test_self_original.txt"],
    ),
    _persona_records,
    _persona,
)
dailydialog = Form(
    _splits(
        ["dialogues_train.txt", "train/dialogues.txt"],
        ["dialogues_validation.txt", "validation/dialogues.txt"],
        ["dialogues_test.txt", "test/dialogues.txt"],
    ),
    _daily_records,
    _daily,
)
topical_chat = Form(
    _splits(
        ["conversations/train.json"],
        ["conversations/valid_*.json"],
        ["conversations/test_*.json"],
    ),
    _by_name,
    _topical,
)
avsd = Form(
    _splits(
        ["train_set4DSTC7-AVSD.json"],
        ["valid_set4DSTC7-AVSD.json"],
        ["test_set4DSTC7-AVSD_multiref*.json", "test_set4DSTC7-AVSD.json", "test_set.json"],
    ),
    _avsd_records,
    _avsd,
)
multiwoz = Form(
    _splits(
        ["data.json", "train/dialogues_*.json"],
        ["data.json", "dev/dialogues_*.json"],
        ["data.json", "test/dialogues_*.json"],
    ),
    _multiwoz_records,
    _multiwoz,
)
