"""Virtual tokens in words: the real tokens nearest to them."""

import torch
from torch.nn.functional import normalize

from promptgraft.errors import PromptgraftError
from promptgraft.models import FrozenModel
from promptgraft.prompts import Prompt, SoftPrompt


def nearest_tokens(
    model: FrozenModel, prompt: Prompt, count: int = 5
) -> list[list[tuple[str, float]]]:
    """The real tokens whose embeddings have the largest cosine with each virtual token.

    Special tokens are left out. Returns for each of the P virtual tokens `count` pairs (token,
    cosine), nearest first. Raises WrongModelError if the prompt is another model's,
    PromptgraftError for a prefix, which has no place among the embeddings.
    """
    if not isinstance(prompt, SoftPrompt):
        raise PromptgraftError(
            f"{prompt.card.title} is a prefix; only soft prompts lie among the model's tokens."
        )
    model.check(prompt)
    tokenizer = model.tokenizer
    special = set(tokenizer.all_special_ids)
    ids = torch.tensor([token for token in range(len(tokenizer)) if token not in special])
    table = normalize(model.embed(ids).cpu(), dim=-1)
    cosines = normalize(prompt.vectors, dim=-1) @ table.T
    best = cosines.topk(min(count, len(ids)), dim=-1)
    return [
        [
            (str(tokenizer.decode([int(ids[place])])).strip(), float(cosine))
            for cosine, place in zip(values, places, strict=True)
        ]
        for values, places in zip(best.values.tolist(), best.indices.tolist(), strict=True)
    ]
