"""Prefixes enter here: one attention function that puts keys and values before those of the text.

transformers lets every model look its attention function up by name. Ours is sdpa with a prefix:
the same for all families, for self- and cross-attention, in training, generation and beam search.
A prefix is outside any sliding window, and relative position biases (T5) are zero towards it.
Which tokens see it, and the positions of the text, are the caller's business.

While the port records, the function also keeps the keys and values that a sequence produces, which
is what turns a soft prompt of a causal model into a prefix.
"""

import re
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from promptgraft.models.geometry import Geometry
from promptgraft.models.port import Port, SitePrefix, rows

NAME = "promptgraft"
MOST_WEIGHTS = 2**17  # of a head and row, where attention is written out
CROSS = ("encoder_attn", "EncDecAttention", "crossattention", "cross_attn")


def install(model: PreTrainedModel, geometry: Geometry, port: Port) -> bool:
    """Switch `model` to our attention function and tell each attention module its place.

    Returns False, and changes nothing, for a model that does its attention in a way of its own
    (Bloom, GPT-J, DeBERTa, …): it takes virtual tokens, but no prefixes.
    """
    if not model._can_set_attn_implementation():
        return False
    model.set_attn_implementation(NAME)
    places = {
        name: (_site(name, geometry), int(number.group(1)))
        for name, module in model.named_modules()
        if "Attention" in type(module).__name__ and (number := re.search(r"\.(\d+)\.", name))
    }
    depth = max(layers for layers, _, _ in geometry.sites.values())
    shared = len({layer for _, layer in places.values()}) < depth  # as in ALBERT
    for name, (site, layer) in places.items():
        module = model.get_submodule(name)
        object.__setattr__(module, "_promptgraft", (port, site, None if shared else layer, depth))
    return True


def _site(name: str, geometry: Geometry) -> str:
    if geometry.family != "seq2seq":
        return "self"
    if "decoder." not in name:
        return "encoder"
    return "cross" if any(mark in name for mark in CROSS) else "decoder"


def prefix_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    position_bias: Tensor | None = None,
    is_causal: bool | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Scaled dot-product attention over [prefix; text] (Prefix-Tuning, section 4.1).

    query [B, H, T, d_head]; key, value [B, H_kv, K, d_head]; returns [B, T, H, d_head].
    While beams write, those of a row share its keys in cross-attention: there are as many times
    more rows of queries than of keys.
    """
    beams = len(query) // len(key)
    if beams > 1:  # their tokens ask as if they were all of one beam
        asked = query.view(-1, beams, *query.shape[1:]).transpose(1, 2).flatten(2, 3)
        mask = None if attention_mask is None else attention_mask[::beams].repeat(1, 1, beams, 1)
        bias = None if position_bias is None else position_bias.repeat(1, 1, beams, 1)
        found, _ = prefix_attention(
            module, asked, key, value, mask, bias, is_causal=False, **kwargs
        )
        return found.reshape(len(query), -1, *found.shape[2:]), None
    place: tuple[Port, str, int | None, int] | None = getattr(module, "_promptgraft", None)
    if place is not None:
        port, site, layer, depth = place
        if port.recorded is not None:
            port.recorded.setdefault(site, []).append((key, value))
        prefix = port.sites.get(site)
        if prefix is not None:
            if layer is None:  # layers share this module: count its calls
                layer = port.calls.get(site, 0)
                port.calls[site] = (layer + 1) % depth
            causal = is_causal if is_causal is not None else getattr(module, "is_causal", True)
            attention_mask = _mask(port, site, attention_mask, query, key, causal)
            pair = prefix.tensor[:, layer].to(key.dtype).transpose(2, 3)  # [b, 2, H_kv, P, d_head]
            keys, values = rows(pair, key.shape[0]).unbind(1)
            key = torch.cat([keys, key], dim=2)
            value = torch.cat([values, value], dim=2)
            if position_bias is not None:
                position_bias = functional.pad(position_bias, (keys.shape[2], 0))
            is_causal = False
    if kwargs.get("softcap") is not None or _better_written_out(query, key, position_bias):
        causal = is_causal if is_causal is not None else getattr(module, "is_causal", True)
        return _written_out(query, key, value, attention_mask, causal, **kwargs), None
    output, _ = sdpa_attention_forward(
        module,
        query,
        key,
        value,
        attention_mask,
        position_bias=position_bias,
        is_causal=is_causal,
        **kwargs,
    )
    return output, None


def _better_written_out(query: Tensor, key: Tensor, position_bias: Tensor | None) -> bool:
    """Whether three products beat sdpa: in bfloat16, on a processor.

    There sdpa takes two to eight times as long, and so does its backward pass. The products keep
    all weights for it, so long sequences stay with sdpa.
    """
    return (
        query.device.type == "cpu"
        and query.dtype == torch.bfloat16
        and query.shape[2] * key.shape[2] <= MOST_WEIGHTS
        and position_bias is None
    )


def _written_out(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    causal: bool,
    softcap: float | None = None,
    scaling: float | None = None,
    **_: Any,
) -> Tensor:
    """Attention as products, optionally with scores bent below a limit (Gemma 2).

    Shapes as in `prefix_attention`.
    """
    batch, heads, texts, size = query.shape
    shared, keys = key.shape[1], key.shape[2]  # queries that share a key head make one product
    query = query * (scaling if scaling is not None else size**-0.5)
    scores = query.reshape(batch, shared, -1, size) @ key.mT
    scores = scores.view(batch, heads, texts, keys)
    if softcap is not None:
        scores = softcap * torch.tanh(scores / softcap)
    if mask is None and causal and texts > 1:
        mask = torch.ones(texts, keys, dtype=torch.bool, device=key.device).tril()
    if mask is not None and mask.dtype == torch.bool:
        scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    elif mask is not None:
        scores = scores + mask
    weights = scores.softmax(-1)  # summed in float32 whatever the dtype
    output = weights.view(batch, shared, -1, keys) @ value
    return output.view(batch, heads, texts, size).transpose(1, 2).contiguous()


def _mask(
    port: Port, site: str, mask: Tensor | None, query: Tensor, key: Tensor, causal: bool
) -> Tensor | None:
    """The text's mask with the prefix's columns before it; the layers of one pass share it."""
    batch, texts, keys = key.shape[0], query.shape[2], key.shape[2]
    prefix = port.sites[site]
    if site in port.memo:
        mask_before, sizes, result = port.memo[site]
        if mask is mask_before and sizes == (batch, texts, keys):
            return result
    result = mask
    if mask is None and causal and texts > 1:
        result = torch.ones(1, 1, texts, keys, dtype=torch.bool, device=key.device)
        result = result.tril(keys - texts)
    elif mask is None and prefix.visible is not None:
        result = torch.ones(1, 1, texts, keys, dtype=torch.bool, device=key.device)
    if result is not None:
        columns = _visible(prefix, batch, texts)[:, None]  # [b, 1, t, P]
        lines, heads = max(result.shape[0], columns.shape[0]), result.shape[1]
        columns = columns.expand(lines, heads, texts, -1)
        if result.dtype != torch.bool:
            columns = torch.where(columns, 0.0, torch.finfo(result.dtype).min).to(result.dtype)
        result = torch.cat([columns, result.expand(lines, heads, texts, keys)], dim=3)
    port.memo[site] = (mask, (batch, texts, keys), result)
    return result


def _visible(prefix: SitePrefix, batch: int, texts: int) -> Tensor:
    """Which of the prefix's columns each query sees: bool [b, t, P], b and t 1 or full."""
    if prefix.visible is None:
        shape = (1, 1, prefix.tensor.shape[3])
        return torch.ones(shape, dtype=torch.bool, device=prefix.tensor.device)
    visible = rows(prefix.visible, batch)
    if visible.ndim == 2:
        return visible[:, None]
    # While generating, only the newest token asks; it stands after every slot.
    return visible if visible.shape[1] == texts else visible[:, -1:]


AttentionInterface.register(NAME, prefix_attention)
AttentionMaskInterface.register(NAME, sdpa_mask)
