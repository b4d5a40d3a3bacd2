"""The seven minis: their configurations, and how each turns a batch into hidden states."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    BertConfig,
    BertForMaskedLM,
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaForMaskedLM,
    T5Config,
    T5ForConditionalGeneration,
)

from .batches import Batch

POSITIONS = 512


@dataclass(frozen=True)
class Mini:
    """What one mini is and how long it is trained.

    family   masked, causal or seq2seq
    steps    optimiser steps, `warm_up` of them with a rising rate; they alone fix the schedule
    wide     width of the layers' inner products, in widths; all minis together stay below 60 MiB
    """

    name: str
    architecture: str
    vocabulary: str
    width: int
    layers: int
    heads: int
    seed: int
    steps: int
    wide: int = 4
    warm_up: int = 200

    @property
    def family(self) -> str:
        return {"bert": "masked", "roberta": "masked", "gpt2": "causal"}.get(
            self.architecture, "seq2seq"
        )


MINIS = {
    mini.name: mini
    for mini in (
        Mini("bert-s", "bert", "wordpiece", 192, 4, 3, seed=1, steps=9000),
        Mini("bert-m", "bert", "wordpiece", 256, 5, 4, seed=2, steps=9000),
        Mini("roberta-s", "roberta", "bpe", 192, 3, 3, seed=3, steps=8000, wide=3),
        Mini("gpt2-s", "gpt2", "gpt2", 128, 4, 2, seed=4, steps=7000, wide=3),
        Mini("gpt2-m", "gpt2", "gpt2", 256, 5, 4, seed=5, steps=7000),
        Mini("bart-s", "bart", "bpe", 192, 3, 3, seed=6, steps=6000, wide=2),
        Mini("t5-s", "t5", "unigram", 192, 3, 3, seed=7, steps=6000, wide=2),
    )
}


def build(mini: Mini, tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    """A fresh model, without dropout, its positions started as sinusoids."""
    torch.manual_seed(mini.seed)
    model = _CONSTRUCTORS[mini.architecture](mini, tokenizer)
    model.set_attn_implementation("eager")  # faster than SDPA on processors at these sizes
    for module in model.modules():
        if isinstance(module, nn.Embedding) and module.num_embeddings in range(512, 520):
            with torch.no_grad():
                module.weight.copy_(_sinusoids(module.num_embeddings, mini.width) * 0.03)
    return model


def _sinusoids(count: int, width: int) -> Tensor:
    """[count, width] sines and cosines of many wavelengths (Vaswani et al., 2017)."""
    rates = 10_000.0 ** (-torch.arange(0, width, 2) / width)
    angles = torch.arange(count)[:, None] * rates[None, :]
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def _bert(mini: Mini, tok: PreTrainedTokenizerFast) -> PreTrainedModel:
    return BertForMaskedLM(BertConfig(
        vocab_size=len(tok), hidden_size=mini.width, num_hidden_layers=mini.layers,
        num_attention_heads=mini.heads, intermediate_size=mini.wide * mini.width,
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
        max_position_embeddings=POSITIONS, pad_token_id=tok.pad_token_id))  # fmt: skip


def _roberta(mini: Mini, tok: PreTrainedTokenizerFast) -> PreTrainedModel:
    return RobertaForMaskedLM(RobertaConfig(
        vocab_size=len(tok), hidden_size=mini.width, num_hidden_layers=mini.layers,
        num_attention_heads=mini.heads, intermediate_size=mini.wide * mini.width,
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
        max_position_embeddings=POSITIONS + 2, type_vocab_size=1,
        pad_token_id=tok.pad_token_id, bos_token_id=tok.bos_token_id,
        eos_token_id=tok.eos_token_id))  # fmt: skip


def _gpt2(mini: Mini, tok: PreTrainedTokenizerFast) -> PreTrainedModel:
    return GPT2LMHeadModel(GPT2Config(
        vocab_size=len(tok), n_positions=POSITIONS, n_embd=mini.width, n_layer=mini.layers,
        n_inner=mini.wide * mini.width, n_head=mini.heads,
        activation_function="gelu_pytorch_tanh",  # its own, in one kernel
        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
        bos_token_id=tok.eos_token_id, eos_token_id=tok.eos_token_id,
        pad_token_id=tok.pad_token_id))  # fmt: skip


def _bart(mini: Mini, tok: PreTrainedTokenizerFast) -> PreTrainedModel:
    return BartForConditionalGeneration(BartConfig(
        vocab_size=len(tok), d_model=mini.width, encoder_layers=mini.layers,
        decoder_layers=mini.layers, encoder_attention_heads=mini.heads,
        decoder_attention_heads=mini.heads, encoder_ffn_dim=mini.wide * mini.width,
        decoder_ffn_dim=mini.wide * mini.width, dropout=0.0, attention_dropout=0.0,
        activation_dropout=0.0, max_position_embeddings=POSITIONS, scale_embedding=False,
        pad_token_id=tok.pad_token_id, bos_token_id=tok.bos_token_id,
        eos_token_id=tok.eos_token_id, decoder_start_token_id=tok.eos_token_id,
        forced_eos_token_id=tok.eos_token_id))  # fmt: skip


def _t5(mini: Mini, tok: PreTrainedTokenizerFast) -> PreTrainedModel:
    return T5ForConditionalGeneration(T5Config(
        vocab_size=len(tok), d_model=mini.width, d_kv=mini.width // mini.heads,
        d_ff=mini.wide * mini.width, num_layers=mini.layers, num_decoder_layers=mini.layers,
        num_heads=mini.heads, dropout_rate=0.0, pad_token_id=tok.pad_token_id,
        eos_token_id=tok.eos_token_id, decoder_start_token_id=tok.pad_token_id,
        tie_word_embeddings=True))  # fmt: skip


_CONSTRUCTORS: dict[str, Callable[[Mini, PreTrainedTokenizerFast], PreTrainedModel]] = {
    "bert": _bert, "roberta": _roberta, "gpt2": _gpt2, "bart": _bart, "t5": _t5,
}  # fmt: skip


def scale(model: PreTrainedModel, name: str) -> float:
    """How large a weight is beside its like in the other models, and so the steps it takes.

    T5 leaves it to the map of the queries to divide scores by the root of a head's size, and starts
    its embeddings at 1 rather than at 0.02.
    """
    if model.config.model_type != "t5":
        return 1.0
    if name.endswith(".q.weight"):
        return model.config.d_kv**-0.5
    return 10.0 if name == "shared.weight" else 1.0


def output_table(model: PreTrainedModel) -> tuple[Tensor, Tensor | None]:
    """The tied output embeddings [V, D] and, where there is one, their trained bias [V]."""
    head = model.get_output_embeddings()
    return head.weight, getattr(head, "bias", None)


def hidden_states(model: PreTrainedModel, batch: Batch, shift: int) -> Tensor:
    """States [B, K, D] at the labelled positions, ready for the output table.

    shift  how far the text's positions are moved, as a prompt before it would move them
    """
    kind = model.config.model_type
    ids, mask = batch.input_ids, batch.attention_mask
    places = torch.arange(ids.shape[1])[None] + shift
    if kind in ("bert", "roberta"):
        first = 2 if kind == "roberta" else 0
        states = getattr(model, kind)(
            input_ids=ids, attention_mask=mask, position_ids=places + first
        ).last_hidden_state
        states = _gather(states, batch.positions)
        if kind == "bert":
            return model.cls.predictions.transform(states)
        head = model.lm_head
        return head.layer_norm(nn.functional.gelu(head.dense(states)))
    if kind == "gpt2":
        states = model.transformer(
            input_ids=ids, attention_mask=mask, position_ids=places, use_cache=False
        ).last_hidden_state
        return _gather(states, batch.positions)
    if kind == "bart":
        return _bart_states(model, batch, shift)
    memory = model.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
    states = model.decoder(
        input_ids=batch.decoder_ids, encoder_hidden_states=memory, encoder_attention_mask=mask,
        use_cache=False,
    ).last_hidden_state  # fmt: skip
    scale = model.config.d_model**-0.5 if model.config.scale_decoder_outputs else 1.0
    return _gather(states, batch.positions) * scale


def _bart_states(model: PreTrainedModel, batch: Batch, shift: int) -> Tensor:
    """As `hidden_states`; BART's encoder takes no positions, so its offset is moved."""
    table = model.model.encoder.embed_positions
    offset, table.offset = table.offset, table.offset + shift
    try:
        states = model.model(
            input_ids=batch.input_ids, attention_mask=batch.attention_mask,
            decoder_input_ids=batch.decoder_ids, use_cache=False,
        ).last_hidden_state  # fmt: skip
    finally:
        table.offset = offset
    return _gather(states, batch.positions)


def _gather(states: Tensor, positions: Tensor) -> Tensor:
    """States [B, T, D] at positions [B, K] -> [B, K, D]."""
    return states.gather(1, positions[..., None].expand(-1, -1, states.shape[-1]))
