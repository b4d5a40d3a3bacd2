"""A soft prompt and a text as a request to vLLM, which takes embeddings in place of a text.

    vllm serve MODEL --enable-prompt-embeds
    curl http://localhost:8000/v1/completions -H 'Content-Type: application/json' -d @request.json

The request's "prompt_embeds" is the base64 text of a tensor [T, D] as `torch.save` writes it: the
virtual tokens and the embeddings of the text, in the order of the template. vLLM calls no template
on it. (https://docs.vllm.ai/en/stable/features/prompt_embeds)
"""

import base64
import io
from typing import Any

import torch

from promptgraft.errors import PromptgraftError
from promptgraft.models import FrozenModel
from promptgraft.prompts import Prompt, SoftPrompt


def request(
    prompt: Prompt, model: FrozenModel, text: str, max_tokens: int = 64, **settings: Any
) -> dict[str, Any]:
    """The JSON body for /v1/completions; `settings` are further fields, such as temperature.

    Raises PromptgraftError for a prefix, for models that are not causal and for no tokens.
    """
    if max_tokens < 1:
        raise PromptgraftError(f"max_tokens {max_tokens}; expected a number above 0.")
    if not isinstance(prompt, SoftPrompt):
        raise PromptgraftError(
            f"{prompt.card.title} is a prefix: keys and values of every layer, which vLLM does "
            "not take. Tune a soft prompt."
        )
    if model.family != "causal":
        raise PromptgraftError(
            f"{model.name} is {model.family}; vLLM takes prompt embeddings for causal models."
        )
    model.check(prompt)
    (row,) = model.encode([text], prompt, reserve=max_tokens)
    ids = torch.tensor(row.tokens)
    embeds = model.embed(ids.clamp_min(0)).cpu()
    places = (ids < 0).nonzero()[:, 0]
    embeds[places] = prompt.vectors[-1 - ids[places]]  # -1 stands for the first virtual token
    buffer = io.BytesIO()
    torch.save(embeds.to(model.dtype).contiguous(), buffer)
    return {
        "model": model.name,
        "prompt": "",  # vLLM's clients want one beside the embeddings
        "prompt_embeds": base64.b64encode(buffer.getvalue()).decode(),
        "max_tokens": max_tokens,
        "temperature": 0.0,
        **settings,
    }
