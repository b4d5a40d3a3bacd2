"""What a model's configuration says about the shape of its prompts."""

from dataclasses import dataclass
from typing import Any

from transformers import PretrainedConfig
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_MASKED_LM_MAPPING_NAMES,
)

from promptgraft.errors import PromptgraftError
from promptgraft.prompts.card import Family

# These count positions from padding_idx + 1, so that they have fewer than they say.
KIN_OF_ROBERTA = ("camembert", "data2vec-text", "ibert", "longformer", "luke", "mpnet", "xmod")


@dataclass(frozen=True)
class Geometry:
    """Sizes of one model.

    sites maps each attention site to its (L, H_kv, d_head): "self" for causal and masked models,
    "encoder", "decoder" and "cross" for seq2seq ones.
    """

    family: Family
    sites: dict[str, tuple[int, int, int]]
    heads: int  # of the queries; H_kv may be fewer
    positions: int | None  # most tokens a sequence may have; None where nothing limits it
    window: int | None  # smallest sliding window of its attention layers, if any


QUERY_HEADS = ("num_attention_heads", "n_head", "decoder_attention_heads", "num_heads")


def family_of(config: PretrainedConfig) -> Family:
    """Causal, seq2seq or masked, by the architecture a checkpoint names, else by its model type."""
    if config.is_encoder_decoder:
        return "seq2seq"
    named = " ".join(config.architectures or ())
    if "CausalLM" in named or "LMHeadModel" in named:
        return "causal"
    if config.model_type in MODEL_FOR_MASKED_LM_MAPPING_NAMES:
        return "masked"
    if config.model_type in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        return "causal"
    raise PromptgraftError(
        f"A model of type {config.model_type!r} ({named or 'no architecture named'}) is neither "
        "causal, sequence-to-sequence nor masked; promptgraft works on these three."
    )


def geometry_of(config: PretrainedConfig) -> Geometry:
    """Read the sizes from a configuration of any family."""
    family = family_of(config)
    text = config.get_text_config(decoder=True) if family == "causal" else config
    if family == "seq2seq":
        encoder = _number(config, "encoder_layers", "num_layers")
        decoder = _number(config, "decoder_layers", "num_decoder_layers", "num_layers")
        sites = {
            "encoder": (encoder, *_heads(config, "encoder_attention_heads", "num_heads")),
            "decoder": (decoder, *_heads(config, "decoder_attention_heads", "num_heads")),
            "cross": (decoder, *_heads(config, "decoder_attention_heads", "num_heads")),
        }
    else:
        depth = _number(text, "num_hidden_layers", "n_layer")
        sites = {"self": (depth, *_heads(text, "num_attention_heads", "n_head"))}
    heads = _number(text, *QUERY_HEADS)
    return Geometry(family, sites, heads, _positions(text), _window(text))


def _first(config: PretrainedConfig, *names: str) -> Any:
    """The first of these fields that the configuration has and sets."""
    for name in names:
        if getattr(config, name, None) is not None:
            return getattr(config, name)
    return None


def _number(config: PretrainedConfig, *names: str) -> int:
    number = _first(config, *names)
    if number is None:
        raise PromptgraftError(
            f"The configuration of this {config.model_type} model has none of {', '.join(names)}; "
            "promptgraft works on models with attention."
        )
    return int(number)


def _heads(config: PretrainedConfig, *names: str) -> tuple[int, int]:
    """(H_kv, d_head)."""
    heads = _number(config, *names)
    width = _number(config, "hidden_size", "d_model", "n_embd")
    size = int(_first(config, "head_dim", "d_kv") or width // heads)
    return int(_first(config, "num_key_value_heads") or heads), size


def _positions(config: PretrainedConfig) -> int | None:
    limit = _first(config, "max_position_embeddings", "n_positions")
    if limit is None or config.model_type in ("t5", "mt5", "umt5", "longt5"):
        return None
    kin = "roberta" in config.model_type or config.model_type in KIN_OF_ROBERTA
    return int(limit) - ((config.pad_token_id or 0) + 1 if kin else 0)


def _window(config: PretrainedConfig) -> int | None:
    window = getattr(config, "sliding_window", None)
    kinds = getattr(config, "layer_types", None)
    if window is None or (kinds is not None and "sliding_attention" not in kinds):
        return None
    return int(window) if getattr(config, "use_sliding_window", True) else None
