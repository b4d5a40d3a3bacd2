"""Prefixes: keys and values before those of the text, at every attention site of every family."""

import copy

import pytest
import torch
from torch import Tensor
from transformers import (
    BloomConfig,
    BloomForCausalLM,
    DynamicCache,
    EncoderDecoderCache,
    Gemma2Config,
    Gemma2ForCausalLM,
)

from conftest import CAUSAL, MASKED, SEQ2SEQ, byte_bpe, tiny
from models.reference import bare, ids, nll, relative
from promptgraft.errors import PromptgraftError
from promptgraft.models import Encoded, FrozenModel, attention
from promptgraft.models.attention import prefix_attention
from promptgraft.models.port import Port, SitePrefix

SOURCES = ["the film is great fun", "a dull story", "The Eagle | food : French | area : riverside"]
TARGETS = ["good", "bad", "The Eagle is a French restaurant ."]
WORDS = ["good", "bad", "great"]
EXACT = 1e-5
P = 3
FROM_TENSORS = ["gpt2", "llama", "qwen2", "qwen3", "opt", "gpt_neox", "gemma"]  # a bare cache works


def prefix(model: FrozenModel, length: int = P, scale: float = 0.5) -> dict[str, Tensor]:
    return {
        site: (scale * torch.randn(layers, 2, length, heads, size)).requires_grad_()
        for site, (layers, heads, size) in model.geometry.sites.items()
    }


def detached(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {site: tensor.detach() for site, tensor in tensors.items()}


def template(kind: str) -> str:
    return "{prompt} {source} {mask}" if kind in MASKED else "{prompt} {source}"


def batch_of(model: FrozenModel, kind: str, prompt, rows=SOURCES):
    answers = WORDS if kind in MASKED else TARGETS
    records = [{"source": source} for source in rows]
    return model.batch(records, prompt, template(kind), answers[: len(rows)])


def cache_of(tensor: Tensor) -> DynamicCache:
    """[L, 2, P, H_kv, d_head] as the cache of a batch of one."""
    cache = DynamicCache()
    for layer, (keys, values) in enumerate(tensor.transpose(2, 3)):  # each [H_kv, P, d_head]
        cache.update(keys[None], values[None], layer)
    return cache


@pytest.mark.parametrize("layers", [2, 3])
@pytest.mark.parametrize("kind", FROM_TENSORS)
def test_causal_is_the_bare_model_with_a_cache(kind: str, layers: int):
    model = tiny(kind, **({"n_layer": layers} if kind == "gpt2" else {"num_hidden_layers": layers}))
    plain, tensors = bare(model), prefix(model)
    losses = []
    for source, target in zip(SOURCES, TARGETS, strict=True):
        before, words = ids(model, source), [*ids(model, f" {target}"), 2]
        logits = plain(
            input_ids=torch.tensor([before + words]),
            past_key_values=cache_of(tensors["self"]),
            attention_mask=torch.ones(1, P + len(before + words)),
            position_ids=P + torch.arange(len(before + words))[None],
        ).logits[0]
        losses.append(nll(logits[len(before) - 1 : -1], words))
    expected = torch.cat(losses).mean()
    ours = model.loss(batch_of(model, kind, tensors), tensors)
    gradient = torch.autograd.grad(ours, tensors["self"])[0]
    assert relative(ours, expected) <= EXACT
    assert relative(gradient, torch.autograd.grad(expected, tensors["self"])[0]) <= EXACT
    assert (gradient.flatten(2).abs().amax(-1) > 0).all()


@pytest.mark.parametrize("kind", SEQ2SEQ)
def test_seq2seq_decoder_is_the_bare_model_with_a_cache(kind: str):
    """Decoder self-attention and cross-attention; the encoder has no cache to compare with."""
    model = tiny(kind)
    if kind == "bart":  # transformers counts BART's positions on from a cache, promptgraft does not
        model.model.model.decoder.embed_positions.weight.zero_()
    else:  # transformers gives cached keys a relative bias, promptgraft none
        model.model.decoder.block[0].layer[0].SelfAttention.relative_attention_bias.weight.zero_()
    plain, tensors = bare(model), prefix(model)
    del tensors["encoder"]
    cache = EncoderDecoderCache(cache_of(tensors["decoder"]), cache_of(tensors["cross"]))
    cache.is_updated = dict.fromkeys(
        cache.is_updated, False
    )  # cross-attention adds to what is there
    source, words = ids(model, SOURCES[0]), ids(model, TARGETS[2])
    begin, end = ([0], [2]) if kind == "bart" else ([], [1])
    words = [*begin, *words, *end]
    whole = torch.tensor([[*begin, *source, *end]])
    encoder = plain.get_encoder()(input_ids=whole)
    logits = plain(
        encoder_outputs=encoder,
        attention_mask=torch.ones(1, P + whole.shape[1]),
        decoder_input_ids=torch.tensor([[plain.config.decoder_start_token_id, *words[:-1]]]),
        decoder_attention_mask=torch.ones(1, P + len(words)),
        past_key_values=cache,
    ).logits[0]
    expected = nll(logits, words).mean()
    batch = model.batch([{"source": SOURCES[0]}], tensors, "{source}", TARGETS[2:])
    ours = model.loss(batch, tensors)
    assert relative(ours, expected) <= EXACT
    for site, tensor in tensors.items():
        one = torch.autograd.grad(ours, tensor, retain_graph=True)[0]
        assert (
            relative(one, torch.autograd.grad(expected, tensor, retain_graph=True)[0]) <= EXACT
        ), site


@pytest.mark.parametrize("layers", [2, 3])
@pytest.mark.parametrize("kind", CAUSAL + SEQ2SEQ + MASKED)
def test_every_prefix_tensor_of_every_site_gets_a_gradient(kind: str, layers: int):
    name = {"gpt2": "n_layer", "bart": "encoder_layers", "t5": "num_layers"}
    changes = {name.get(kind, "num_hidden_layers"): layers}
    if kind in SEQ2SEQ:
        changes |= {("decoder_layers" if kind == "bart" else "num_decoder_layers"): layers}
    if kind == "gemma3":
        changes["layer_types"] = ["sliding_attention", "full_attention", "full_attention"][:layers]
    model = tiny(kind, **changes)
    tensors = prefix(model)
    model.loss(batch_of(model, kind, tensors), tensors).backward()
    for site, tensor in tensors.items():
        assert len(tensor) == layers
        per_token = tensor.grad.abs().amax((-2, -1))  # [L, 2, P]
        assert (per_token > 0).all(), (site, per_token)
    # keys and values of one layer differ in effect from those of another: none is used twice
    flat = torch.stack([tensor.grad[layer].flatten() for layer in range(layers)])
    assert torch.linalg.matrix_rank(flat) == layers


def literal(query: Tensor, keys: Tensor, values: Tensor, allowed: Tensor) -> Tensor:
    """Attention as a loop over rows, heads and queries.

    query [B, H, T, d], keys and values [B, H_kv, K, d], allowed [B, T, K]; returns [B, T, H, d].
    """
    batch, heads, texts, size = query.shape
    shared = heads // keys.shape[1]
    result = torch.zeros(batch, texts, heads, size)
    for b in range(batch):
        for h in range(heads):
            for t in range(texts):
                scores = torch.stack([query[b, h, t] @ k for k in keys[b, h // shared]]) / size**0.5
                seen = allowed[b, t]
                weights = torch.exp(scores[seen]) / torch.exp(scores[seen]).sum()
                result[b, t, h] = weights @ values[b, h // shared][seen]
    return result


@pytest.mark.parametrize("given", ["no mask", "bool mask", "float mask"])
@pytest.mark.parametrize("visible", ["all", "by row", "by row and query"])
@pytest.mark.parametrize("causal", [True, False])
def test_the_function_is_the_formula(given: str, visible: str, causal: bool):
    batch, heads, grouped, texts, size, layers = 2, 4, 2, 5, 3, 2
    query = torch.randn(batch, heads, texts, size)
    key, value = torch.randn(2, batch, grouped, texts, size)
    tensor = torch.randn(1, layers, 2, P, grouped, size)
    seen = {
        "all": None,
        "by row": torch.tensor([[0, 1, 1], [1, 1, 1]]).bool(),
        "by row and query": torch.rand(batch, texts, P) > 0.5,
    }[visible]
    text = torch.ones(batch, texts, texts).bool()
    if causal:
        text = text.tril()
    mask = None
    if given != "no mask":
        text[0, :, 0] = False  # as left padding does
        text[0, 0, 1] = True  # and no query is left without a key
        mask = text[:, None]
        if given == "float mask":
            mask = torch.where(mask, 0.0, torch.finfo(torch.float32).min)
    module = torch.nn.Module()
    module.num_key_value_groups = heads // grouped
    module._promptgraft = (Port(sites={"self": SitePrefix(tensor, seen)}), "self", 1, layers)
    ours, _ = prefix_attention(module, query, key, value, mask, is_causal=causal)
    columns = torch.ones(batch, texts, P).bool() if seen is None else seen
    columns = columns if columns.ndim == 3 else columns[:, None].expand(-1, texts, -1)
    keys, values = tensor[0, 1].transpose(1, 2)[:, None].expand(-1, batch, -1, -1, -1)
    expected = literal(
        query,
        torch.cat([keys, key], 2),
        torch.cat([values, value], 2),
        torch.cat([columns, text], 2),
    )
    torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", CAUSAL)
def test_a_prefix_within_a_text_is_seen_by_what_follows(kind: str):
    """A row at a time, against the bare model run in two parts: before the slot, and after it."""
    changes = {"sliding_window": 64} if kind in ("mistral", "gemma3") else {}
    model = tiny(kind, **changes)
    plain, tensors = bare(model), prefix(model)
    rows = [{"source": source} for source in SOURCES]
    batch = model.batch(rows, tensors, "{source} {prompt} => {target}", TARGETS)
    assert batch.prefix_at.tolist() == [len(ids(model, source)) for source in SOURCES]
    losses = []
    for source, target in zip(SOURCES, TARGETS, strict=True):
        before, after = ids(model, source), ids(model, " =>")
        words = [*ids(model, f" {target}"), 2]
        cache = plain(input_ids=torch.tensor([before]), use_cache=True).past_key_values
        for layer, pair in enumerate(tensors["self"]):
            keys, values = pair.transpose(1, 2)[:, None]
            store = cache.layers[layer]
            store.keys = torch.cat([store.keys, keys], 2)
            store.values = torch.cat([store.values, values], 2)
            if hasattr(store, "cumulative_length"):
                store.cumulative_length += P
        logits = plain(
            input_ids=torch.tensor([after + words]),
            past_key_values=cache,
            position_ids=(len(before) + P + torch.arange(len(after + words)))[None],
        ).logits[0]
        losses.append(nll(logits[len(after) - 1 : -1], words))
    expected = torch.cat(losses).mean()
    ours = model.loss(batch, tensors)
    assert relative(ours, expected) <= EXACT
    one, other = (torch.autograd.grad(loss, tensors["self"])[0] for loss in (ours, expected))
    assert relative(one, other) <= EXACT


def test_a_leading_slot_is_no_border_even_behind_special_tokens():
    model = tiny("llama")
    tensors = prefix(model)
    model.encoder.first = [0]  # as Llama's own tokenizer has it
    batch = model.batch(["a dull story"], tensors, "{prompt:7} {source}", ["bad"])
    assert batch.prefix_at is None
    assert model.batch(["a"], tensors, "Text: {prompt} {source}", ["b"]).prefix_at is not None


@pytest.mark.parametrize("kind", CAUSAL + SEQ2SEQ + MASKED)
def test_padding_and_the_other_rows_change_nothing(kind: str):
    model = tiny(kind)
    tensors = detached(prefix(model))
    encoded = model.encode(
        [{"source": source} for source in SOURCES],
        tensors,
        template(kind),
        WORDS if kind in MASKED else TARGETS,
    )
    together = model.labelled_logits(model.collate(encoded), tensors)[0]
    alone = [model.labelled_logits(model.collate([row]), tensors)[0] for row in encoded]
    assert relative(together, torch.cat(alone)) <= EXACT
    if kind in CAUSAL:
        left = model.labelled_logits(model.collate(encoded, "left"), tensors)[0]
        assert relative(left, torch.cat(alone)) <= EXACT


@pytest.mark.parametrize("kind", CAUSAL + SEQ2SEQ + MASKED)
def test_bfloat16_weights_take_float32_prefixes(kind: str):
    model = tiny(kind)
    tensors = prefix(model)
    batch = batch_of(model, kind, tensors)
    exact = model.loss(batch, tensors).item()
    model.model.to(torch.bfloat16)
    loss = model.loss(batch, tensors)
    loss.backward()
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(exact, rel=0.05)
    assert all(t.grad.dtype == torch.float32 and t.grad.any() for t in tensors.values())


@pytest.mark.parametrize("kind", CAUSAL)
def test_keys_and_values_of_real_tokens_as_a_prefix_are_those_tokens(kind: str):
    changes = {"sliding_window": 64} if kind in ("mistral", "gemma3") else {}
    model = tiny(kind, **changes)
    words = ids(model, "The Eagle is a")
    whole = model.encode(["dull story"], None, "The Eagle is a {source}", ["bad"])[0]
    assert whole.tokens[: len(words)] == words
    rest = Encoded(tokens=whole.tokens[len(words) :], labels=whole.labels[len(words) :])
    tensors = model.activations(torch.tensor(words))
    loss = model.loss(model.collate([rest]), tensors)
    assert relative(loss, model.loss(model.collate([whole]))) <= EXACT


def test_scores_bent_below_a_limit_as_in_gemma_2():
    tokenizer = byte_bpe(False)
    config = Gemma2Config(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=4,
        intermediate_size=32,
        initializer_range=0.3,
        attn_logit_softcapping=0.5,
        query_pre_attn_scalar=4,
        sliding_window=64,
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
        attn_implementation="eager",
    )
    plain = Gemma2ForCausalLM(config).eval()
    model = FrozenModel(copy.deepcopy(plain), tokenizer)
    soft = torch.randn(4, 16)
    words = [*ids(model, " bad"), 2]
    before = [soft, ids(model, " a dull story")]
    embedded = plain.get_input_embeddings()
    pieces = [before[0], embedded(torch.tensor(before[1] + words))]
    logits = plain(inputs_embeds=torch.cat(pieces)[None]).logits[0]
    expected = nll(logits[-len(words) - 1 : -1], words).mean()
    for share in (True, False):
        batch = model.collate(model.encode(["a dull story"], soft, None, ["bad"]), share=share)
        assert relative(model.loss(batch, soft), expected) <= EXACT


def test_a_model_with_attention_of_its_own_takes_soft_prompts_only():
    tokenizer = byte_bpe(False)
    config = BloomConfig(vocab_size=len(tokenizer), hidden_size=16, n_layer=2, n_head=4)
    plain = BloomForCausalLM(config).eval()
    model = FrozenModel(copy.deepcopy(plain), tokenizer)
    assert not model.takes_prefixes
    soft, words = torch.randn(4, 16), [*ids(model, " bad"), 2]
    embedded = plain.get_input_embeddings()(torch.tensor(ids(model, " a dull story") + words))
    logits = plain(inputs_embeds=torch.cat([soft, embedded])[None]).logits[0]
    expected = nll(logits[-len(words) - 1 : -1], words).mean()
    batch = model.batch(["a dull story", "the film"], soft, None, ["bad", "good"])
    alone = model.batch(["a dull story"], soft, None, ["bad"])
    assert relative(model.loss(alone, soft), expected) <= EXACT
    lonely = model.batch(["the film"], soft, None, ["good"])
    sums = [model.loss(b, soft) * (b.labels >= 0).sum() for b in (batch, alone, lonely)]
    assert relative(sums[0], sums[1] + sums[2]) <= EXACT
    tensors = {"self": torch.zeros(2, 2, P, 4, 4)}
    with pytest.raises(PromptgraftError, match="takes no prefixes"):
        model.loss(model.batch(["a"], tensors, None, ["b"]), tensors)


def test_two_wrappers_of_one_model_share_its_port():
    first = tiny("gpt2")
    second = FrozenModel(first.model, first.tokenizer)
    tensors, soft = detached(prefix(first)), torch.randn(4, 16)
    for prompt in (tensors, soft):
        losses = [m.loss(m.batch(SOURCES, prompt, None, TARGETS), prompt) for m in (first, second)]
        assert torch.equal(*losses)
    assert not torch.equal(losses[0], first.loss(first.batch(SOURCES, None, None, TARGETS)))


def test_without_a_prompt_the_model_is_as_it_was():
    model = tiny("llama")
    text = torch.tensor([ids(model, SOURCES[0])])
    ours = model.model(input_ids=text).logits
    assert relative(ours, bare(model)(input_ids=text).logits) <= EXACT
    tensors = detached(prefix(model))
    model.loss(batch_of(model, "llama", tensors), tensors)
    assert torch.equal(ours, model.model(input_ids=text).logits)  # nothing stays attached


@pytest.mark.parametrize("kind", CAUSAL + MASKED + ["bart"])
def test_written_out_or_not_attention_is_the_same(kind: str, monkeypatch: pytest.MonkeyPatch):
    model = tiny(kind)
    tensors = prefix(model)
    results = []
    for written_out in (False, True):
        called: list[bool] = []

        def choose(*_: object, way: bool = written_out, seen: list[bool] = called) -> bool:
            seen.append(way)
            return way

        monkeypatch.setattr(attention, "_better_written_out", choose)
        loss = model.loss(batch_of(model, kind, tensors), tensors)
        gradients = torch.autograd.grad(loss, list(tensors.values()))
        results.append((loss, *gradients))
        assert called
    for one, other in zip(*results, strict=True):
        assert relative(one, other) <= EXACT


def test_written_out_in_bfloat16_on_a_processor_unless_long():
    query = torch.zeros(1, 4, 8, 4, dtype=torch.bfloat16)
    assert attention._better_written_out(query, query, None)
    assert not attention._better_written_out(query.float(), query.float(), None)
    long = torch.zeros(1, 1, 512, 4, dtype=torch.bfloat16)
    assert not attention._better_written_out(long, long, None)


def test_written_out_is_as_exact_as_sdpa_in_bfloat16(monkeypatch: pytest.MonkeyPatch):
    model = tiny("llama", hidden_size=64, head_dim=16)
    model.model.to(torch.bfloat16).to(torch.float32)
    start = detached(prefix(model, scale=1.0))["self"].to(torch.bfloat16).float()

    def gradient(dtype: torch.dtype) -> Tensor:
        model.model.to(dtype)
        tensors = {"self": start.clone().requires_grad_()}
        loss = model.loss(batch_of(model, "llama", tensors), tensors)
        return torch.autograd.grad(loss, tensors["self"])[0]

    exact, written_out = gradient(torch.float32), gradient(torch.bfloat16)
    monkeypatch.setattr(attention, "MOST_WEIGHTS", 0)
    sdpa = gradient(torch.bfloat16)
    assert not torch.equal(written_out, sdpa)
    assert (written_out - exact).norm() < 1.5 * (sdpa - exact).norm()
