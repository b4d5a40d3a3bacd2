"""What news articles are about, by the words in them, where no topic stands beside them."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace

from promptgraft.tasks import Row, Task
from promptgraft.tasks.task import Split

LEAST = 0.01  # share of an article's words that must be of its topic

WORDS: Mapping[str, frozenset[str]] = {
    topic: frozenset(words.split())
    for topic, words in {
        "sport": "match game goal goals league cup season coach manager player players team squad "
        "striker midfielder wicket wickets rugby cricket tennis champion championship club olympic "
        "race lap defeat score scored fixture tournament medal",
        "business": "bank banks company companies shares market markets profit profits sales "
        "investors economy growth business firm firms trade prices sector executive revenue",
        "politics": "party minister election vote voters labour conservative mps parliament "
        "government referendum brexit eu council campaign policy leader president senator mp",
        "crime": "police court jailed murder trial charged guilty arrested judge prison sentenced "
        "victim attack officers killed stabbed jury inquest",
        "health": "health hospital patients nhs doctors disease drug cancer treatment medical care "
        "virus patient nurses gp infection",
        "technology": "technology app software users google facebook internet online data computer "
        "smartphone scientists researchers space nasa robot research apple device digital",
    }.items()
}

TRAINED = {"crime", "politics", "business"}  # the most frequent topics of news that is not sport
SPLITS: Mapping[str, tuple[Callable[[str], bool], Callable[[str], bool]]] = {
    "news to sports": (lambda topic: topic != "sport", lambda topic: topic == "sport"),
    "within news": (lambda topic: topic in TRAINED, lambda topic: topic not in {*TRAINED, "sport"}),
}  # topics of training and validation, of test


def topic_of(text: str) -> str:
    """The topic most of whose words are in the text, or "other"."""
    words = re.findall(r"[a-z]+", text.lower())
    shares = {topic: sum(word in own for word in words) for topic, own in WORDS.items()}
    best = max(shares, key=lambda topic: shares[topic])
    return best if words and shares[best] >= LEAST * len(words) else "other"


def by_topic(task: Task, name: str) -> Task:
    """The task with training and validation rows of some topics and test rows of others."""
    seen, unseen = SPLITS[name]

    def rows(split: str) -> list[Row]:
        wanted = unseen if split == "test" else seen
        return [row for row in task.rows(split) if wanted(topic_of(row["source"]))]

    return replace(task, splits={s: Split(lambda s=s: rows(s)) for s in task.splits})  # type: ignore[misc]
