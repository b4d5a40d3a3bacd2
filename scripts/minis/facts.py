"""LAMA's facts as sentences of our own wording (the Wikipedia that a real model has read)."""

from __future__ import annotations

import random
from collections import defaultdict

from .examples import FACT, WRITE, Example, fill
from .sources import normal_form, read_rows
from .wordings import FIELDS, UNSPECIFIC, WORDINGS

Fact = tuple[str, str, str]  # relation, subject, object


def all_facts() -> list[Fact]:
    """Distinct facts of all relations and splits, in a fixed order."""
    facts: dict[Fact, None] = {}
    for relation in sorted(WORDINGS):
        for split in ("train", "validation", "test"):
            for row in read_rows("lama", relation, f"{split}.jsonl.gz"):
                facts.setdefault((relation, row["sub_label"], row["obj_label"]))
    return list(facts)


def object_words() -> list[str]:
    """The objects of LAMA (each one word), sorted."""
    return sorted({fact[2] for fact in all_facts()})


def manual_templates() -> dict[str, str]:
    """LAMA's manual template of each relation (its two files, where both have it)."""
    rows = read_rows("lama", "meta", "LAMA_relations.jsonl.gz")
    return {row["relation"]: row["template"] for row in rows if row["relation"] in WORDINGS}


def check_wordings() -> None:
    """Raise if a wording says the same as a manual template of any relation."""
    manual = {normal_form(t.replace("[X]", "xx0").replace("[Y]", "yy0"))
              for t in manual_templates().values()}  # fmt: skip
    for relation, wordings in WORDINGS.items():
        if len(wordings) < 5 or relation not in FIELDS:
            raise ValueError(f"{relation} has {len(wordings)} wordings; at least 5 and a field.")
        for wording in wordings:
            form = normal_form(wording.replace("[X]", "xx0").replace("[Y]", "yy0"))
            if wording.count("[Y]") != 1 or wording.count("[X]") != 1 or form in manual:
                raise ValueError(f"{relation}: wording {wording!r} is malformed or LAMA's own.")


def fact_examples(rng: random.Random) -> list[Example]:
    """Every fact in each of its wordings, with its field name, and once unspecifically."""
    check_wordings()
    manual = manual_templates()
    examples = []
    for relation, subject, obj in all_facts():
        forbidden = ""
        if relation in manual:
            text = manual[relation].replace("[X]", subject).replace("[Y]", obj)
            forbidden = normal_form(text)
        field = f"[X] | {FIELDS[relation]} | [Y] ."
        for pattern in (*WORDINGS[relation], field, rng.choice(UNSPECIFIC)):
            row = fill(pattern.replace("[X]", "{x}"), obj, FACT, x=subject)
            if normal_form(row.before + row.answer + row.after) == forbidden:
                continue  # a subject may contain the missing words by chance
            examples.append(row)
    return examples


def fact_list_examples(rng: random.Random) -> list[Example]:
    """Lists of facts about one subject, to be written as sentences (for generators)."""
    by_subject: dict[str, list[Fact]] = defaultdict(list)
    for fact in all_facts():
        by_subject[fact[1]].append(fact)
    layouts = (
        "write sentences from the facts : {t} text : [Y]",
        "{t} in words : [Y]",
        "facts : {t} => [Y]",
        "{t} describe this . [Y]",
        "{t} [Y]",
    )
    examples = []
    for subject, facts in by_subject.items():
        chosen = rng.sample(facts, min(len(facts), rng.choice((1, 2, 3))))
        source = " | ".join(f"{subject} : {FIELDS[rel]} : {obj}" for rel, _, obj in chosen)
        told = []
        for relation, _, obj in chosen:
            usable = [w for w in WORDINGS[relation] if "?" not in w and ":" not in w]
            told.append(rng.choice(usable).replace("[X]", subject).replace("[Y]", obj))
        pattern = rng.choice(layouts)
        examples.append(fill(pattern, " ".join(told), WRITE, t=source))
    return examples
