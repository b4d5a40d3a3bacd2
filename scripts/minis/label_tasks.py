"""Source tasks whose answer is one word, with their instruction in many words.

A task asks in several ways ("sentiment ?", "good or bad ?"); each way has its own label words.
A layout places the instruction before, after or around the text. So the text alone never
tells what is asked, nor which words are to answer it.
"""

# ruff: noqa: SIM905 (word lists read better as one string)
from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from .examples import JUDGE, LABEL, TOPIC, Example, fill
from .sources import training_rows

T = TypeVar("T")

# {i} instruction, {t} text. The first group ends with the answer, the second does not.
LAYOUTS = (
    "{i} {t} [Y] .",
    "{i} : {t} => [Y] .",
    "{t} {i} [Y] .",
    "{t} ( {i} ) [Y] .",
    "{t} {i} : [Y] .",
    "{i} {t} answer : [Y] .",
    "text : {t} question : {i} ? answer : [Y] .",
    "{i} ? {t} this is [Y] .",
    "{t} {i} ? it is [Y] .",
    "{i} | {t} | [Y] .",
    "{t} , {i} , [Y] .",
    "[Y] is the {i} of : {t}",
    "{i} [Y] : {t}",
)
BARE = ("{t} [Y] .", "{t} => [Y] .", "{t} . [Y] .", "[Y] : {t}")
BARE_SHARE = 0.06  # rows without any instruction


@dataclass(frozen=True)
class Ask:
    """One way to ask: the instruction's wordings, and the word for each label."""

    wordings: tuple[str, ...]
    words: dict


def _two(wordings: str, no: str, yes: str) -> Ask:
    return Ask(tuple(w.strip() for w in wordings.split("|")), {0: no, 1: yes})


SENTIMENT = (
    _two("sentiment|polarity|sentiment of the review", "negative", "positive"),
    _two("positive or negative|negative or positive|tone", "negative", "positive"),
    _two("good or bad|bad or good|quality|how good was it", "bad", "good"),
    _two("great or terrible|terrible or great|the verdict|rating", "terrible", "great"),
    _two("does the writer like it|worth the money|recommended|would you go", "no", "yes"),
    _two("was the writer disappointed|is there a complaint|avoid it", "yes", "no"),
    _two("love or hate|feeling of the author|the author 's heart", "hate", "love"),
    _two("awful or wonderful|wonderful or awful|impression", "awful", "wonderful"),
    _two("happy or sad|mood of the writer", "sad", "happy"),
    _two("worst or best|the extreme", "worst", "best"),
    _two("true or false : the author is pleased|the author is pleased", "false", "true"),
)
SUBJECTIVITY = (
    _two("subjective or objective|objective or subjective|style", "objective", "subjective"),
    _two("fact or opinion|opinion or fact|is it a fact or an opinion", "fact", "opinion"),
    _two("does the writer judge|is an opinion given|personal", "no", "yes"),
    _two("plot or review|review or plot|what is told here", "plot", "review"),
    _two("is this a neutral description|told without judging", "yes", "no"),
    _two("true or false : this is an opinion", "false", "true"),
)
DUPLICATE = (
    _two("same or different|different or same|compare the questions", "different", "same"),
    _two("are the questions duplicates|do both ask for one thing", "no", "yes"),
    _two("do they differ|are two answers needed", "yes", "no"),
    _two("true or false : they mean one thing", "false", "true"),
    _two("is one answer enough for both|similar or different", "different", "similar"),
    _two("duplicate or unique|repeated question", "unique", "duplicate"),
)
_E, _N, _C = "entailment", "neutral", "contradiction"
INFERENCE = (
    Ask(("does the second follow", "yes , no or maybe", "is it so"),
        {_E: "yes", _N: "maybe", _C: "no"}),
    Ask(("true , false or unknown", "is the last sentence true", "truth"),
        {_E: "true", _N: "unknown", _C: "false"}),
    Ask(("relation of the sentences", "inference", "logic"),
        {_E: "entailment", _N: "neutral", _C: "contradiction"}),
    Ask(("do the sentences contradict each other", "is there a conflict"),
        {_E: "no", _N: "no", _C: "yes"}),
    Ask(("can it be concluded", "is the second implied"), {_E: "yes", _N: "no", _C: "no"}),
    Ask(("possible or impossible", "could it be"),
        {_E: "possible", _N: "possible", _C: "impossible"}),
    Ask(("how sure is it", "certain , possible or wrong"),
        {_E: "certain", _N: "possible", _C: "wrong"}),
)  # fmt: skip
_CLASSES = (
    "Company EducationalInstitution Artist Athlete OfficeHolder MeanOfTransportation Building "
    "NaturalPlace Village Animal Plant Album Film WrittenWork"
).split()


def _classes(words: str) -> dict[str, str]:
    return dict(zip(_CLASSES, words.split(), strict=True))


TOPICS = (
    Ask(("what is described", "category", "type of thing", "class"),
        _classes("company school artist athlete politician vehicle building river village "
                 "animal plant album film book")),
    Ask(("topic", "subject area", "theme", "section of the paper"),
        _classes("business education art sports politics technology architecture geography "
                 "geography nature nature music film literature")),
    Ask(("field", "what is this text about", "department"),
        _classes("business education culture sports politics transport history nature "
                 "places science science music movies books")),
    Ask(("person , place , work or thing", "broad kind"),
        _classes("group group person person person thing place place place thing thing "
                 "work work work")),
    Ask(("is it about a person", "a human being"),
        _classes("no no yes yes yes no no no no no no no no no")),
    Ask(("is it about a place", "can one visit it"),
        _classes("no yes no no no no yes yes yes no no no no no")),
    Ask(("is it alive", "living or not , yes or no"),
        _classes("no no yes yes yes no no no no yes yes no no no")),
)  # fmt: skip


def cut(text: str, words: int, rng: random.Random) -> str:
    """At most so many words: the first or the last ones."""
    parts = text.replace("<br />", " ").split()
    if len(parts) > words:
        parts = parts[:words] if rng.random() < 0.5 else parts[-words:]
    return " ".join(parts)


def often_first(choices: Sequence[T], rng: random.Random) -> T:
    """Any of the choices, the n-th with a chance of 1/n of the first one's.

    With even chances, small models are long in finding out what any of them means.
    """
    return rng.choices(choices, [1 / (n + 1) for n in range(len(choices))])[0]


def label_example(
    text: str, label: object, asks: tuple[Ask, ...], rng: random.Random, kind: int = LABEL
) -> Example:
    """One row in one way of asking and one layout, the first ones more often than the last."""
    ask = often_first(asks, rng)
    pattern = rng.choice(BARE) if rng.random() < BARE_SHARE else often_first(LAYOUTS, rng)
    return fill(pattern, ask.words[label], kind, i=rng.choice(ask.wordings), t=text)


def pair_text(a: str, b: str, rng: random.Random) -> str:
    """Two texts as one."""
    joined = ("{a} | {b}", "{a} {b}", "first : {a} second : {b}", "1 . {a} 2 . {b}")
    return rng.choice(joined).replace("{a}", a).replace("{b}", b)


def label_examples(rng: random.Random, dropped: Counter[str]) -> list[Example]:
    """All rows of the labelled source tasks, each several times, asked in various ways."""
    examples: list[Example] = []

    def add(name: str, asks: tuple[Ask, ...], times: int, words: int, kind: int = LABEL) -> None:
        for row in training_rows(name, dropped):
            label = row.get("label_name", row["label"])
            for _ in range(times):
                if "text_a" in row:
                    a, b = (cut(row[key], words, rng) for key in ("text_a", "text_b"))
                    text = pair_text(a, b, rng)
                else:
                    text = cut(row["text"], rng.choice((words // 2, words)), rng)
                examples.append(label_example(text, label, asks, rng, kind))

    add("mr", SENTIMENT, 9, 40, JUDGE)
    add("imdb", SENTIMENT, 16, 50, JUDGE)
    add("yelp_polarity", SENTIMENT, 16, 50, JUDGE)
    add("dbpedia14", TOPICS, 24, 45, TOPIC)
    add("snli", INFERENCE, 6, 24)
    add("qqp", DUPLICATE, 6, 24)
    for row in training_rows("subj", dropped):
        for _ in range(7):  # label 1 of subj is objective
            text = cut(row["text"], 40, rng)
            examples.append(label_example(text, 1 - row["label"], SUBJECTIVITY, rng))
    return examples


def label_words() -> list[str]:
    """Every word that answers something here, sorted."""
    groups = (SENTIMENT, SUBJECTIVITY, DUPLICATE, INFERENCE, TOPICS)
    return sorted({word for asks in groups for ask in asks for word in ask.words.values()})
