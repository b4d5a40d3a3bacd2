"""Tiny random models of every family, and a tiny tokenizer for each kind."""

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import torch
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
)
from transformers import (
    AlbertConfig,
    AlbertForMaskedLM,
    BartConfig,
    BartForConditionalGeneration,
    BertConfig,
    BertForMaskedLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GemmaConfig,
    GemmaForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    OPTConfig,
    OPTForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
    RobertaConfig,
    RobertaForMaskedLM,
    T5Config,
    T5ForConditionalGeneration,
)

from promptgraft.models import FrozenModel

TEXTS = [
    "the film is great fun and the cast is wonderful",
    "a dull , terrible and far too long story",
    "name : The Eagle | food : French | area : riverside",
    "The Eagle is a French restaurant near the river .",
    "which one is it ? good , bad , positive or negative",
]
SPECIALS = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
torch.set_num_threads(1)  # the models are tiny, and pytest -n 2 takes the other core
WIDTH, HEADS, LAYERS, POSITIONS = 16, 4, 3, 128
CAUSAL = ["gpt2", "llama", "qwen2", "qwen3", "opt", "gpt_neox", "mistral", "gemma", "gemma3"]
SEQ2SEQ = ["bart", "t5"]
MASKED = ["bert", "roberta", "albert"]


def known_words() -> list[str]:
    """The shorter words of the texts: one token each where a tokenizer can. Longer ones are not."""
    first = ["good", "bad", "great", "fun", "is"]
    words = [word for text in TEXTS for word in text.split() if len(word) <= 8]
    return list(dict.fromkeys(first + words))


# Vocabularies are written down, not trained: training breaks ties differently in each process.


@cache
def byte_bpe(bos: bool) -> PreTrainedTokenizerFast:
    """Byte-level BPE as GPT-2's; with <s> … </s> around a text if `bos`."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate(SPECIALS + alphabet)}
    merges = []
    for word in [*(f"Ġ{word}" for word in known_words()), *known_words()]:
        for end in range(2, len(word) + 1):
            if word[:end] not in vocabulary:
                vocabulary[word[:end]] = len(vocabulary)
                merges.append((word[: end - 1], word[end - 1]))
    core = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    if bos:
        core.post_processor = processors.TemplateProcessing(
            single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
        )
    names = dict(bos_token="<s>", pad_token="<pad>", eos_token="</s>", unk_token="<unk>")
    return PreTrainedTokenizerFast(tokenizer_object=core, mask_token="<mask>", **names)


@cache
def word_piece() -> PreTrainedTokenizerFast:
    """Lower-case WordPiece as BERT's."""
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = sorted({letter for text in TEXTS for letter in text.lower()} - {" "})
    words = [word.lower() for word in known_words()]
    pieces = dict.fromkeys([*specials, *letters, *(f"##{x}" for x in letters), *words])
    vocabulary = {token: number for number, token in enumerate(pieces)}
    core = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    core.normalizer = normalizers.BertNormalizer(lowercase=True)
    core.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    core.decoder = decoders.WordPiece()
    core.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    )


@cache
def unigram() -> PreTrainedTokenizerFast:
    """SentencePiece-like unigram as T5's."""
    letters = sorted({letter for text in TEXTS for letter in text.replace(" ", "▁")})
    pieces = {"<pad>": 0.0, "</s>": 0.0, "<unk>": 0.0} | dict.fromkeys(letters, -8.0)
    pieces |= {f"▁{word}": -2.0 for word in known_words()}
    core = Tokenizer(models.Unigram(list(pieces.items()), unk_id=2))
    core.normalizer = normalizers.Sequence([normalizers.Nmt(), normalizers.Replace("  ", " ")])
    core.pre_tokenizer = pre_tokenizers.Metaspace()
    core.decoder = decoders.Metaspace()
    core.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )


def tiny(kind: str, **changes: Any) -> FrozenModel:
    """A random model of a kind; the same numbers at every call."""
    tokenizer = {"bert": word_piece, "albert": word_piece, "t5": unigram}.get(
        kind, lambda: byte_bpe(kind in ("roberta", "bart"))
    )()
    vocabulary = dict(vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id)
    ends = dict(bos_token_id=0, eos_token_id=2)
    usual: dict[str, Any] = dict(
        **vocabulary,
        hidden_size=WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        intermediate_size=32,
        max_position_embeddings=POSITIONS,
        initializer_range=0.2,
    )
    grouped = usual | ends | dict(num_key_value_heads=2, head_dim=WIDTH // HEADS)
    build: dict[str, Callable[[], Any]] = {
        "gpt2": lambda: GPT2LMHeadModel(
            GPT2Config(
                **(vocabulary | ends | dict(n_embd=WIDTH, n_layer=LAYERS, n_head=HEADS))
                | dict(n_positions=POSITIONS, initializer_range=0.2)
                | changes
            )
        ),
        "llama": lambda: LlamaForCausalLM(LlamaConfig(**grouped | changes)),
        "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**grouped | changes)),
        "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**grouped | changes)),
        "opt": lambda: OPTForCausalLM(
            OPTConfig(
                **vocabulary
                | dict(hidden_size=WIDTH, num_hidden_layers=LAYERS, num_attention_heads=HEADS)
                | dict(ffn_dim=32, max_position_embeddings=POSITIONS, init_std=0.2)
                | dict(word_embed_proj_dim=8, bos_token_id=0, eos_token_id=2)
                | changes
            )
        ),
        "gpt_neox": lambda: GPTNeoXForCausalLM(GPTNeoXConfig(**usual | ends | changes)),
        "mistral": lambda: MistralForCausalLM(
            MistralConfig(**grouped | dict(sliding_window=12) | changes)
        ),
        "gemma": lambda: GemmaForCausalLM(GemmaConfig(**grouped | changes)),
        "gemma3": lambda: Gemma3ForCausalLM(
            Gemma3TextConfig(
                **grouped
                | dict(sliding_window=12)
                | dict(layer_types=["sliding_attention", "full_attention", "sliding_attention"])
                | changes
            )
        ),
        "bart": lambda: BartForConditionalGeneration(
            BartConfig(
                **vocabulary
                | dict(d_model=WIDTH, encoder_layers=LAYERS, decoder_layers=2, encoder_ffn_dim=32)
                | dict(decoder_ffn_dim=32, encoder_attention_heads=HEADS, init_std=0.2)
                | dict(decoder_attention_heads=HEADS, max_position_embeddings=POSITIONS)
                | dict(decoder_start_token_id=2, forced_eos_token_id=None)
                | ends
                | changes
            )
        ),
        "t5": lambda: T5ForConditionalGeneration(
            T5Config(
                **vocabulary
                | dict(d_model=WIDTH, num_layers=LAYERS, num_decoder_layers=2, num_heads=HEADS)
                | dict(d_kv=4, d_ff=32, decoder_start_token_id=0, eos_token_id=1)
                | dict(initializer_factor=1.5)
                | changes
            )
        ),
        "bert": lambda: BertForMaskedLM(BertConfig(**usual | changes)),
        "roberta": lambda: RobertaForMaskedLM(RobertaConfig(**usual | ends | changes)),
        "albert": lambda: AlbertForMaskedLM(
            AlbertConfig(**usual | dict(embedding_size=8) | changes)
        ),
    }
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = build[kind]()
    model.config.name_or_path = f"tiny/{kind}"
    return FrozenModel(model, tokenizer)


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)
