"""The label words of a causal model as the head of PEFT's sequence classification (SEQ_CLS).

transformers' classifiers on causal models have one linear layer, `score`, where the language model
has its output layer, and read it at the last token. With the output layer's rows of the label words
it gives their logits, and PEFT keeps it in the adapter. Other families answer elsewhere: PEFT's
head on a masked model reads the first virtual token, and encoder-decoders' heads look for the end
of the text in ids that PEFT does not pass on.
"""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification

from promptgraft.errors import PromptgraftError
from promptgraft.models import FrozenModel, output
from promptgraft.models.prompted import PLAIN
from promptgraft.models.template import parse
from promptgraft.prompts import Prompt, SoftPrompt
from promptgraft.prompts.card import Family

NAME = "base_model.score.weight"  # in the adapter's tensors
ELSEWHERE: dict[Family, str] = {
    "masked": "PEFT's classification head reads the first virtual token; the prompt answers at "
    "{mask}",
    "seq2seq": "the classification heads of encoder-decoders look for the end of the text in token "
    "ids, which PEFT does not pass on with a prompt",
}


def head(prompt: Prompt, model: FrozenModel) -> Tensor:
    """The weights of `score`: [labels, D]; labels that are numbers by size, others by alphabet.

    Raises PromptgraftError with the reason if there is no such head.
    """
    title = f"{prompt.card.title} cannot be written for SEQ_CLS: "
    if model.family != "causal":
        raise PromptgraftError(f"{title}{ELSEWHERE[model.family]}.")
    verbalizer = prompt.card.verbalizer or {}
    # A stored card does not keep the order that its labels had.
    labels = sorted(verbalizer, key=int if all(map(str.isdecimal, verbalizer)) else None)
    words = [verbalizer[label] for label in labels]
    if not words:
        raise PromptgraftError(f"{title}its card has no label words (verbalizer).")
    template = parse(prompt.card.template or PLAIN[model.family])
    length = len(prompt) if isinstance(prompt, SoftPrompt) else 0
    tokens = model.encoder.targets(template, words, False, length)
    for word, own in zip(words, tokens, strict=True):
        if len(own) != 1:
            raise PromptgraftError(
                f"{title}the label word {word!r} is {len(own)} tokens; the head has one row for "
                "a label."
            )
    layer = model.model.get_output_embeddings()  # type: ignore[no-untyped-call]
    if not output.is_plain(model.model, layer) or layer.bias is not None or not _fits(model, layer):
        raise PromptgraftError(
            f"{title}the classifier of {model.name} is no linear map without bias in the place of "
            "its output layer."
        )
    rows: Tensor = layer.weight.detach()[[own[0] for own in tokens]]
    return rows.float().cpu().contiguous()


def _fits(model: FrozenModel, layer: nn.Linear) -> bool:
    """Whether transformers' classifier on this model has the head that is meant here."""
    build: Any = AutoModelForSequenceClassification
    try:
        with torch.device("meta"):
            score = getattr(build.from_config(model.model.config), "score", None)
    except ValueError:  # there is no classifier
        return False
    weights = dict(score.named_parameters()) if type(score) is nn.Linear else {}
    return list(weights) == ["weight"] and weights["weight"].shape[1] == layer.in_features
