"""Anchors: words that several models know as one token, and so can be compared by."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import Generator

from promptgraft.errors import ConfigError, PromptgraftError
from promptgraft.models import FrozenModel
from promptgraft.transfer.across_models.words import Vocabulary, vocabulary


def shared_anchors(models: Sequence[FrozenModel]) -> list[str]:
    """All words that are one token for every model (the paper's choice), frequent ones first.

    Raises PromptgraftError if there are none.
    """
    known = [vocabulary(model.tokenizer) for model in models]
    shared = shared_words(known)
    if not shared:
        names = ", ".join(model.name for model in models)
        raise PromptgraftError(
            f"The vocabularies of {names} have no token in common; nothing can anchor a transfer."
        )
    return shared


def shared_words(vocabularies: Sequence[Vocabulary]) -> list[str]:
    """The words that are one token in each vocabulary, frequent ones first.

    Vocabularies are sorted by frequency, more or less (WordPiece and unigram by count, BPE by
    merge), so a word counts as frequent if it stands early in all of them.
    """
    words = dict.fromkeys(word for known in vocabularies for word in known.ids)
    place: dict[str, float] = {}
    for word in words:
        tokens = [known.find(word) for known in vocabularies]
        found = [token for token in tokens if token is not None]
        if len(found) == len(tokens):
            place[word] = max(
                token / len(known.ids) for token, known in zip(found, vocabularies, strict=True)
            )
    return sorted(place, key=lambda word: (place[word], word))


def choose(
    shared: list[str],
    wanted: int | Sequence[str] | Path | None,
    by: Literal["frequent", "random"] = "frequent",
    seed: int = 0,
) -> list[str]:
    """Some of the shared words.

    wanted  None: all; at most so many of them; or a list of words or a file with one word a line,
            of which the shared ones are taken (a word without leading blank means the whole word)
    by      with a number: the most frequent ones, or random ones by `seed`

    Raises ConfigError if the file cannot be read, or if no word of the list is shared.
    """
    if wanted is None:
        return shared
    if isinstance(wanted, int):
        if by == "frequent":
            return shared[:wanted]
        order = torch.randperm(len(shared), generator=Generator().manual_seed(seed))
        return [shared[i] for i in order[:wanted].tolist()]
    if isinstance(wanted, Path):
        try:
            wanted = wanted.read_text().splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"anchors: cannot read the words in {wanted}: {error}") from None
    listed = {word if word.startswith(" ") else f" {word.strip()}" for word in wanted}
    found = [word for word in shared if word in listed]
    if not found:
        raise ConfigError(f"anchors: none of the {len(listed)} words is one token for all models.")
    return found
