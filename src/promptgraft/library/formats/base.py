"""The model that an imported prompt belongs to, at hand or not."""

from collections.abc import Iterable
from pathlib import Path

from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
)

from promptgraft.errors import PromptgraftError
from promptgraft.models import FrozenModel
from promptgraft.prompts import ModelReference
from promptgraft.prompts.card import Family

# A type in several of them belongs to the last: BART fills masks too, BERT also writes.
TYPES: tuple[tuple[Iterable[str], Family], ...] = (
    (MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, "causal"),
    (MODEL_FOR_MASKED_LM_MAPPING_NAMES, "masked"),
    (MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES, "seq2seq"),
)


def base_of(model: FrozenModel | str, size: int, family: Family | None = None) -> ModelReference:
    """What a card says of the model.

    model   the model, or its name if it is not at hand: then the card has no fingerprint, and the
            prompt fits every model of that name, family and size
    size    D of the prompt's virtual tokens
    family  for a name; default what names like it (t5-base, roberta-large) stand for

    Raises PromptgraftError if the sizes differ, or the family cannot be told.
    """
    if isinstance(model, FrozenModel):
        if model.embedding_size != size:
            raise PromptgraftError(
                f"virtual tokens of {size} dimensions; {model.name} takes {model.embedding_size}."
            )
        return model.reference
    family = family or _family(model)
    if family is None:
        raise PromptgraftError(
            f"{model} is not at hand, and its name does not tell what it is. Say it: "
            "family causal, seq2seq or masked."
        )
    return ModelReference(
        name=model, fingerprint=None, tokenizer_hash=None, family=family, embedding_size=size
    )


def _family(name: str) -> Family | None:
    """The family of the longest model type that begins a word of the name."""
    words = "-" + Path(name).name.lower().replace("_", "-")
    families: dict[str, Family] = {}
    for types, family in TYPES:
        families |= dict.fromkeys(types, family)
    fitting = [kind for kind in families if f"-{kind.replace('_', '-')}" in words]
    return families[max(fitting, key=len)] if fitting else None
