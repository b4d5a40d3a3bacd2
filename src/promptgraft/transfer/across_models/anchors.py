"""Anchors: words that two models both know as one token, and so can be compared by."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from promptgraft.errors import PromptgraftError
from promptgraft.models import FrozenModel


@dataclass(frozen=True)
class Anchors:
    """K words and their rows in the embedding tables of the models involved.

    words    K words, a leading blank where the token begins a word
    columns  for each model [K, D], its embeddings of the words, float32
    """

    words: tuple[str, ...]
    columns: tuple[Tensor, ...]


def shared_anchors(models: Sequence[FrozenModel]) -> Anchors:
    """All words that are one token for every model (the paper's choice).

    Raises PromptgraftError if there are none.
    """
    vocabularies = [words(model.tokenizer) for model in models]
    common = set(vocabularies[0]).intersection(*vocabularies[1:])
    if not common:
        names = ", ".join(model.name for model in models)
        raise PromptgraftError(
            f"The vocabularies of {names} have no token in common; nothing can anchor a transfer."
        )
    chosen = sorted(common, key=lambda word: (vocabularies[-1][word], word))
    columns = tuple(
        model.embed(torch.tensor([vocabulary[word] for word in chosen])).cpu()
        for model, vocabulary in zip(models, vocabularies, strict=True)
    )
    return Anchors(tuple(chosen), columns)


@lru_cache(maxsize=16)
def words(tokenizer: PreTrainedTokenizerBase) -> dict[str, int]:
    """Every token that stands for text, as that text, with its id.

    A token that begins a word is written with a leading blank, one that continues a word without,
    whatever mark the tokenizer itself uses. An upper- and a lower-case token are different words.
    """
    special = set(tokenizer.all_special_tokens)
    vocabulary = tokenizer.get_vocab()
    continues = any(token.startswith("##") for token in vocabulary)
    decoded: dict[str, int] = {}
    for token, number in sorted(vocabulary.items(), key=lambda item: item[1]):
        if token in special or (token.startswith("[unused") and token.endswith("]")):
            continue
        if continues:  # WordPiece
            text = token[2:] if token.startswith("##") else f" {token}"
        else:
            text = _plain(tokenizer, token)
        if text.strip() and "\ufffd" not in text:
            decoded.setdefault(text, number)
    return decoded


def _plain(tokenizer: PreTrainedTokenizerBase, token: str) -> str:
    """A byte-level or SentencePiece token as text."""
    if token.startswith("▁"):
        return " " + token[1:]
    text: str = tokenizer.convert_tokens_to_string([token])
    return " " + text if token.startswith("Ġ") and not text.startswith(" ") else text
