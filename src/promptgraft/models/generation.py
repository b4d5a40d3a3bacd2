"""Texts from transformers' generation, whose first pass is not left to it.

It would read a text once for each beam, though these are all alike until they write: here it is
read once, and its keys and values are repeated; those of an encoder's text are never repeated. And
it looks ids up for penalties and stop strings, where virtual tokens have none: it gets padding in
their place, the pass gets themselves.
"""

from typing import Any

from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.cache_utils import DynamicCache, EncoderDecoderCache
from transformers.utils.generic import ModelOutput

from promptgraft.models.attention import NAME
from promptgraft.models.port import rows


class _Shared(DynamicCache):
    """Keys and values that the beams of a row share."""

    def __init__(self, whole: DynamicCache) -> None:
        super().__init__()
        self.layers = whole.layers

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Beams change places within their row alone."""


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

    def before(
        _model: nn.Module, arguments: tuple[Any, ...], keywords: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        first.remove()
        read = ids[:, : keywords[name].shape[1]]  # all of them, or the first chunk
        if beams == 1 or not _repeatable(model, keywords.get("past_key_values")):
            last.remove()
            return arguments, keywords | {name: rows(read, len(keywords[name]))}
        own = {key: _of_first_beams(value, beams) for key, value in keywords.items()}
        return arguments, own | {name: read}

    def after(_model: nn.Module, _arguments: tuple[Any, ...], output: Any) -> Any:
        last.remove()
        output.logits = output.logits.repeat_interleave(beams, dim=0)
        cache = output.past_key_values
        if isinstance(cache, EncoderDecoderCache):
            cache.cross_attention_cache = _Shared(cache.cross_attention_cache)
            cache = cache.self_attention_cache
        cache.batch_repeat_interleave(beams)
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


def _repeatable(model: PreTrainedModel, cache: object) -> bool:
    """Whether what one pass left in a cache can be repeated for beams, or shared by them."""
    if type(cache) is EncoderDecoderCache:
        parts = cache.self_attention_cache, cache.cross_attention_cache
        ours = model.config._attn_implementation == NAME
        return ours and all(type(part) is DynamicCache for part in parts)
    return type(cache) is DynamicCache


def _of_first_beams(value: Any, beams: int) -> Any:
    """An argument of the model for the first beam of each row."""
    if isinstance(value, ModelOutput):  # of the encoder
        return type(value)(**{key: _of_first_beams(own, beams) for key, own in value.items()})
    return value[::beams] if isinstance(value, Tensor) and value.ndim > 1 else value
