"""Too long a row: its own fields are cut, the template's words, the prompt and the target never."""

from collections.abc import Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from promptgraft.errors import DataError


@dataclass
class Words:
    """A text piece of one row.

    spans  where in `text` the row's own fields are
    """

    text: str
    spans: list[tuple[int, int]]
    ids: list[int]


def shorten(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[Words], fixed: int, limit: int
) -> int:
    """Cut the ends of the longest fields until `fixed` and all texts are within the limit.

    Returns the tokens cut; changes `ids` of the texts. Raises DataError if the fields are too few.
    """
    over = fixed + sum(len(words.ids) for words in texts) - limit
    if over <= 0:
        return 0
    own = [(words, places) for words in texts for places in _own(tokenizer, words)]
    lengths = [len(places) for _, places in own]
    if sum(lengths) < over:
        raise DataError(
            f"The row is {over - sum(lengths)} tokens too long for {limit} positions even "
            "without its own text: the prompt, the template and the target alone do not fit. "
            "Use a shorter prompt, template or target."
        )
    drop: dict[int, set[int]] = {}
    for (words, places), kept in zip(own, level(lengths, sum(lengths) - over), strict=True):
        drop.setdefault(id(words), set()).update(places[kept:])
    for words in texts:
        gone = drop.get(id(words), set())
        words.ids = [token for place, token in enumerate(words.ids) if place not in gone]
    return over


def _own(tokenizer: PreTrainedTokenizerBase, words: Words) -> list[list[int]]:
    """For each field, the places of its tokens; none that holds literal text too."""
    offsets = tokenizer(
        words.text, add_special_tokens=False, return_offsets_mapping=True, verbose=False
    )["offset_mapping"]
    places: list[list[int]] = [[] for _ in words.spans]
    for place, (start, end) in enumerate(offsets):
        for field, (a, b) in zip(places, words.spans, strict=True):
            outside = words.text[start : max(a, start)] + words.text[min(b, end) : end]
            if start < b and end > a and not outside.strip():
                field.append(place)
                break
    return places


def level(lengths: Sequence[int], total: int) -> list[int]:
    """Cut the longest down to one level, so that all together are `total`."""
    kept = [0] * len(lengths)
    for rank, place in enumerate(sorted(range(len(lengths)), key=lengths.__getitem__)):
        kept[place] = min(lengths[place], total // (len(lengths) - rank))
        total -= kept[place]
    return kept
