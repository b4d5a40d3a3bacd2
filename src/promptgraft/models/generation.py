"""Texts from transformers' generation, whose first pass is not left to it.

It would read a text once for each beam, though these are all alike until they write: here it is
read once, and its keys and values are repeated. And it looks ids up for penalties and stop strings,
where virtual tokens have none: it gets padding in their place, the pass gets themselves.
"""

from typing import Any

from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.cache_utils import DynamicCache

from promptgraft.models.port import rows


def generate(
    model: PreTrainedModel, inputs: dict[str, Any], pad: int, config: dict[str, Any]
) -> Tensor:
    """Ids of the rows and of what follows them: [B, T + N].

    inputs  of the model; negative ids are virtual tokens
    config  of transformers' generation, num_beams among others
    """
    name = "decoder_input_ids" if "decoder_input_ids" in inputs else "input_ids"
    ids: Tensor = inputs[name]
    beams: int = config["num_beams"]
    worthwhile = beams > 1 and name == "input_ids"  # a decoder begins with one token

    def before(
        _model: nn.Module, arguments: tuple[Any, ...], keywords: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        first.remove()
        read = ids[:, : keywords[name].shape[1]]  # all of them, or the first chunk
        if not worthwhile or type(keywords.get("past_key_values")) is not DynamicCache:
            last.remove()
            return arguments, keywords | {name: rows(read, len(keywords[name]))}
        own = {
            key: value[::beams] if isinstance(value, Tensor) and value.ndim > 1 else value
            for key, value in keywords.items()
        }
        return arguments, own | {name: read}

    def after(_model: nn.Module, _arguments: tuple[Any, ...], output: Any) -> Any:
        last.remove()
        output.logits = output.logits.repeat_interleave(beams, dim=0)
        output.past_key_values.batch_repeat_interleave(beams)
        return output

    first = model.register_forward_pre_hook(before, with_kwargs=True)
    last = model.register_forward_hook(after)
    shown = inputs | {name: ids.where(ids >= 0, pad)}
    try:
        written: Tensor = model.generate(**shown, **config)  # type: ignore[operator]
    finally:
        first.remove()
        last.remove()
    return written
