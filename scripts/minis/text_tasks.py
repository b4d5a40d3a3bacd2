"""Tasks that any text can be given: which kind it is, which words it has, where it goes on.

The same texts are asked many different things, so only the instruction tells what is wanted.
"""

# ruff: noqa: SIM905 (word lists read better as one string)
from __future__ import annotations

import random
from collections import Counter

from .examples import TEXT, Example, fill
from .label_tasks import BARE, LAYOUTS, cut
from .sources import book_paragraphs, training_rows, wikipedia_paragraphs

KIND_WORDS = {
    "review": "review",
    "question": "question",
    "dialogue": "talk",
    "encyclopedia": "article",
    "caption": "scene",
    "story": "story",
    "plot": "plot",
}
KIND_ASKS = ("kind of text", "where is this text from", "genre of the passage", "what is this")
QUESTION_WORDS = ("what", "who", "when", "where", "how", "why", "which")

# Words too common to be asked for.
STOP = frozenset(
    "the a an of and to in is was it that for on with as at by from are be his her he she they "
    "this which not but have had or their its were has been you your i my we our will would".split()
)


def texts_by_kind(rng: random.Random, dropped: Counter[str]) -> dict[str, list[str]]:
    """Texts of the source tasks and the corpus, by what kind of text they are."""
    rows = {
        name: training_rows(name, dropped)
        for name in (
            "mr",
            "imdb",
            "yelp_polarity",
            "dbpedia14",
            "snli",
            "qqp",
            "subj",
            "dailydialog",
        )
    }
    texts = {
        "review": [r["text"] for n in ("mr", "imdb", "yelp_polarity") for r in rows[n]],
        "question": [r["text_a"] for r in rows["qqp"]],
        "dialogue": [r["target"] for r in rows["dailydialog"]],
        "encyclopedia": [r["text"] for r in rows["dbpedia14"]] + list(wikipedia_paragraphs()),
        "caption": [r["text_a"] for r in rows["snli"]],
        "story": list(book_paragraphs(every=180)),
        "plot": [r["text"] for r in rows["subj"] if r["label"] == 1],
    }  # fmt: skip
    return {k: [cut(t, 36, rng) for t in v if len(t.split()) >= 5] for k, v in texts.items()}


def _ask(text: str, instruction: str, answer: str, rng: random.Random) -> Example:
    pattern = rng.choice(BARE if rng.random() < 0.04 else LAYOUTS)
    return fill(pattern, answer, TEXT, i=instruction, t=text)


def _content_words(text: str) -> list[str]:
    return [w for w in text.split() if w.isalpha() and len(w) > 2 and w.lower() not in STOP]


def _about_words(text: str, other: str, rng: random.Random) -> Example | None:
    """A question about the words of a text; None if it has too few."""
    words, strange = _content_words(text), _content_words(other)
    if len(words) < 4 or not strange:
        return None
    tokens = text.split()
    word, absent = rng.choice(words), rng.choice(strange)
    if absent in tokens:
        return None
    match rng.randrange(8):
        case 0:
            return _ask(text, rng.choice(("first word", "how does it begin")), tokens[0], rng)
        case 1:
            last = next(w for w in reversed(tokens) if w.isalnum())
            return _ask(text, rng.choice(("last word", "how does it end")), last, rng)
        case 2:
            either = rng.choice((f"{word} or {absent}", f"{absent} or {word}"))
            return _ask(text, rng.choice((either, f"which occurs , {either}")), word, rng)
        case 3:
            asked, answer = rng.choice(((word, "yes"), (absent, "no")))
            return _ask(text, f"is there {asked} in it", answer, rng)
        case 4:
            place = rng.randrange(len(tokens) - 1)
            return _ask(text, f"the word after {tokens[place]}", tokens[place + 1], rng)
        case 5:
            place = tokens.index(word)
            gap = " ".join([*tokens[:place], "_", *tokens[place + 1 :]])
            return _ask(gap, rng.choice(("missing word", "what is left out", "_ =")), word, rng)
        case 6:
            size = "short" if len(tokens) < 14 else "long"
            return _ask(text, rng.choice(("short or long", "length", "size")), size, rng)
        case _:  # a content word of the second half, seen only the first half
            half = len(tokens) // 2
            later = [w for w in tokens[half:] if w in words and w not in tokens[:half]]
            if not later:
                return None
            seen = " ".join(tokens[:half])
            asked = rng.choice(("a related word", "keyword", "a word from the same page"))
            return _ask(seen, asked, rng.choice(later), rng)


def _order(paragraph: str, other: str, rng: random.Random) -> Example | None:
    """Does the second sentence follow on the first one?"""
    halves = paragraph.split(" . ")
    strange = other.split(" . ")
    if len(halves) < 2 or len(strange) < 2:
        return None
    follows = rng.random() < 0.5
    text = f"{halves[0]} . | {halves[1] if follows else strange[1]}"
    no, yes = rng.choice((("no", "yes"), ("false", "true"), ("random", "next")))
    wording = {
        "yes": "does the text go on like this",
        "true": "true or false : they belong together",
        "next": "next or random",
    }[yes]
    return _ask(text, wording, yes if follows else no, rng)


def _question_word(rng: random.Random, dropped: Counter[str]) -> list[Example]:
    """Which word would a question about the sentence begin with?"""
    examples = []
    for row in training_rows("squad_qg", dropped):
        words = row["target"].split()
        asked = next((w for w in words if w in QUESTION_WORDS), None)
        if asked:
            text = cut(row["source"], 30, rng)
            rest = " ".join(w for w in words if w not in (asked, "?"))
            examples.append(_ask(f"{text} | {rest}", "question word", asked, rng))
    return examples


def text_examples(rng: random.Random, dropped: Counter[str], count: int) -> list[Example]:
    """About `count` rows over texts of all kinds."""
    texts = texts_by_kind(rng, dropped)
    kinds = sorted(texts)
    examples = _question_word(rng, dropped)
    while len(examples) < count:
        kind, strange = rng.choice(kinds), rng.choice(kinds)
        text, other = rng.choice(texts[kind]), rng.choice(texts[strange])
        chance = rng.random()
        row: Example | None
        if chance < 0.2:
            row = _ask(text, rng.choice(KIND_ASKS), KIND_WORDS[kind], rng)
        elif chance < 0.27:
            text = rng.choice(texts["question"]) if rng.random() < 0.4 else text
            answer = "yes" if text.endswith("?") else "no"
            row = _ask(text, rng.choice(("is it a question", "does it ask something")), answer, rng)
        elif chance < 0.42:
            row = _order(text, other, rng)
        else:
            row = _about_words(text, other, rng)
        if row is not None:
            examples.append(row)
    return examples
