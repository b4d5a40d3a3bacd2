"""A model with prompts attached computes what the bare model computes on the same embeddings."""

import pytest
import torch
from torch import Tensor

from conftest import CAUSAL, MASKED, SEQ2SEQ, tiny
from models.reference import bare, ids, lay, nll, relative, target_logits
from promptgraft.models import IGNORED, FrozenModel

SOURCES = ["the film is great fun", "a dull story", "The Eagle | food : French | area : riverside"]
TARGETS = ["good", "bad", "The Eagle is a French restaurant ."]
WORDS = ["good", "bad", "great"]
EXACT = 1e-5
P = 5


def vectors(model: FrozenModel, length: int = P) -> Tensor:
    return (0.5 * torch.randn(length, model.embedding_size)).requires_grad_()


def loss_and_gradient(loss: Tensor, prompt: Tensor) -> tuple[Tensor, Tensor]:
    return loss.detach(), torch.autograd.grad(loss, prompt)[0]


def assert_same(ours: Tensor, theirs: Tensor, prompt: Tensor) -> None:
    loss, gradient = loss_and_gradient(ours, prompt)
    expected, expected_gradient = loss_and_gradient(theirs, prompt)
    assert gradient.abs().min() > 0
    assert relative(loss, expected) <= EXACT
    assert relative(gradient, expected_gradient) <= EXACT


# Each case: a template, and by hand what the model should read before a target, and the target.

CAUSAL_CASES = {
    "{prompt} {source}": lambda m, s, t, v: ([v, ids(m, f" {s}")], ids(m, f" {t}")),
    "Text: {prompt} {source} => {target}": lambda m, s, t, v: (
        [ids(m, "Text:"), v, ids(m, f" {s} =>")],
        ids(m, f" {t}"),
    ),
    "{source} {prompt:4} => {target}": lambda m, s, t, v: (
        [ids(m, s), v, ids(m, " =>")],
        ids(m, f" {t}"),
    ),
    "{prompt:1} {source}\n{prompt:3}{target}": lambda m, s, t, v: (
        [v[:1], ids(m, f" {s}\n"), v[1:]],
        ids(m, t),
    ),
    "{source} {prompt}": lambda m, s, t, v: ([ids(m, s), v], ids(m, f" {t}")),
}


@pytest.mark.parametrize("template", CAUSAL_CASES)
@pytest.mark.parametrize("kind", CAUSAL)
def test_causal_is_the_bare_model_on_embeddings(kind: str, template: str):
    model, prompt = tiny(kind), vectors(tiny(kind), 4)
    plain = bare(model)
    losses = []
    for source, target in zip(SOURCES, TARGETS, strict=True):
        before, words = CAUSAL_CASES[template](model, source, target, prompt)
        words = [*words, model.tokenizer.eos_token_id]
        losses.append(nll(target_logits(plain, before, words), words))
    batch = model.batch([{"source": s} for s in SOURCES], prompt, template, TARGETS)
    assert_same(model.loss(batch, prompt), torch.cat(losses).mean(), prompt)


SEQ2SEQ_CASES = {
    "{prompt} {source}": lambda m, s, v: ([v, ids(m, f" {s}")], None),
    "{source} {prompt:5} =>": lambda m, s, v: ([ids(m, s), v, ids(m, " =>")], None),
    "{source} {decoder} {prompt}": lambda m, s, v: ([ids(m, s)], [v]),
    "{prompt:2} {source} {decoder} {prompt:3} So: {target}": lambda m, s, v: (
        [v[:2], ids(m, f" {s}")],
        [v[2:], ids(m, " So:")],
    ),
}


@pytest.mark.parametrize("template", SEQ2SEQ_CASES)
@pytest.mark.parametrize("kind", SEQ2SEQ)
def test_seq2seq_is_the_bare_model_on_embeddings(kind: str, template: str):
    model, prompt = tiny(kind), vectors(tiny(kind))
    plain, end = bare(model), [model.tokenizer.eos_token_id]
    begin = [0] if kind == "bart" else []  # <s>
    start = [model.model.config.decoder_start_token_id]
    losses = []
    for source, target in zip(SOURCES, TARGETS, strict=True):
        encoder, decoder = SEQ2SEQ_CASES[template](model, source, prompt)
        words = begin + ids(model, target) + end
        if decoder is not None:  # <s> stands at the start of the decoder's text, not of the target
            words = ids(model, f" {target}") + end
            decoder = [begin, *decoder]
        logits = target_logits(plain, [begin, *encoder, end], words, [start, *(decoder or [])])
        losses.append(nll(logits, words))
    batch = model.batch([{"source": s} for s in SOURCES], prompt, template, TARGETS)
    assert_same(model.loss(batch, prompt), torch.cat(losses).mean(), prompt)


MASKED_CASES = {
    "{prompt} {text} {mask} .": lambda m, s, v: ([v, ids(m, f" {s}")], [ids(m, " .")]),
    "{text} {prompt:3} {mask} {prompt:2}": lambda m, s, v: ([ids(m, s), v[:3]], [v[3:]]),
    "It is {mask} : {text} {prompt}": lambda m, s, v: (
        [ids(m, "It is")],
        [ids(m, f" : {s}"), v],
    ),
}


@pytest.mark.parametrize("template", MASKED_CASES)
@pytest.mark.parametrize("kind", MASKED)
def test_masked_is_the_bare_model_on_embeddings(kind: str, template: str):
    model, prompt = tiny(kind), vectors(tiny(kind))
    plain, tokenizer = bare(model), model.tokenizer
    first, last = ([0], [2]) if kind == "roberta" else ([2], [3])
    losses = []
    for source, word in zip(SOURCES, WORDS, strict=True):
        before, after = MASKED_CASES[template](model, source, prompt)
        mask = [tokenizer.mask_token_id]
        pieces = [first, *before, mask, *after, last]
        logits = plain(inputs_embeds=lay(plain, pieces)).logits[0]
        place = sum(len(piece) for piece in [first, *before])
        losses.append(nll(logits[place][None], ids(model, f" {word}")))
    batch = model.batch([{"text": s} for s in SOURCES], prompt, template, WORDS)
    assert_same(model.loss(batch, prompt), torch.cat(losses).mean(), prompt)


@pytest.mark.parametrize("layers", [2, 3])
@pytest.mark.parametrize("kind", CAUSAL)
def test_shared_pass_is_concatenation(kind: str, layers: int):
    changes = {"n_layer": layers} if kind == "gpt2" else {"num_hidden_layers": layers}
    if kind == "gemma3":
        changes["layer_types"] = ["sliding_attention", "full_attention", "full_attention"][:layers]
    if kind in ("mistral", "gemma3"):
        changes["sliding_window"] = 64
    model = tiny(kind, **changes)
    prompt = vectors(model)
    encoded = model.encode(SOURCES, prompt, "Task: {prompt} {source}", TARGETS)
    shared, whole = model.collate(encoded), model.collate(encoded, share=False)
    assert len(shared.heads) == 1
    assert not whole.heads
    assert shared.tokens.shape[1] == whole.tokens.shape[1] - len(shared.heads[0])
    assert_same(model.loss(shared, prompt), model.loss(whole, prompt), prompt)


@pytest.mark.parametrize("kind", ["mistral", "gemma3"])
def test_rows_longer_than_the_window_are_concatenated(kind: str):
    model = tiny(kind, sliding_window=12)
    prompt = vectors(model, 4)
    short = model.encode(["a dull"], prompt, answers=["bad"])
    long = model.encode(["the film is great fun and the cast is wonderful"], prompt, answers=["a"])
    assert len(short[0].tokens) <= 12 < len(long[0].tokens)
    assert model.collate(short).heads
    assert not model.collate(long).heads
    assert not model.collate([*short, *long]).heads
    # generation that will outgrow the window is concatenated from the start
    assert not model.collate(short, "left", reserve=12).heads


@pytest.mark.parametrize("kind", CAUSAL)
def test_a_prompt_that_predicts_the_target_itself_is_concatenated(kind: str):
    """With nothing between prompt and target, the shared pass would have to give logits."""
    model, prompt = tiny(kind), vectors(tiny(kind), 4)
    words = ids(model, "good")
    expected = nll(target_logits(bare(model), [prompt], words), words).mean()
    encoded = model.encode([{}], prompt, "{prompt}{target}", ["good"], stop=False)
    assert_same(model.loss(model.collate(encoded), prompt), expected, prompt)


@pytest.mark.parametrize("kind", CAUSAL + SEQ2SEQ + MASKED)
def test_padding_and_the_other_rows_change_nothing(kind: str):
    model, prompt = tiny(kind), vectors(tiny(kind))
    template = "{prompt:2} {source} {prompt:3}" + (" {mask}" if kind in MASKED else " =>")
    answers = WORDS if kind in MASKED else TARGETS
    rows = [{"source": source} for source in SOURCES]
    encoded = model.encode(rows, prompt, template, answers)
    with torch.no_grad():
        alone = [model.labelled_logits(model.collate([row]), prompt)[0] for row in encoded]
        right = model.labelled_logits(model.collate(encoded), prompt)[0]
        backwards = model.labelled_logits(model.collate(encoded[::-1]), prompt)[0]
        assert relative(right, torch.cat(alone)) <= EXACT
        assert relative(backwards, torch.cat(alone[::-1])) <= EXACT
        if kind in CAUSAL:  # generation pads on the left
            left = model.labelled_logits(model.collate(encoded, "left"), prompt)[0]
            assert relative(left, torch.cat(alone)) <= EXACT


@pytest.mark.parametrize("kind", CAUSAL + SEQ2SEQ + MASKED)
def test_labelled_logits_are_the_full_logits_gathered(kind: str):
    model, prompt = tiny(kind), vectors(tiny(kind))
    template = "{prompt} {source}" + (" {mask}" if kind in MASKED else "")
    rows = [{"source": source} for source in SOURCES]
    batch = model.batch(rows, prompt, template, WORDS)
    with torch.no_grad():
        logits, labels = model.labelled_logits(batch, prompt)
        with model.attached(batch, prompt) as inputs:
            full = model.model(**inputs, use_cache=False).logits
    found = [
        (full[row, place], batch.labels[row, place])
        for row in range(len(batch))
        for place in range(batch.labels.shape[1])
        if batch.labels[row, place] != IGNORED
    ]
    assert relative(logits, torch.stack([one for one, _ in found])) <= 1e-6
    assert labels.tolist() == [int(label) for _, label in found]


@pytest.mark.parametrize("kind", CAUSAL + SEQ2SEQ + MASKED)
def test_bfloat16_weights_take_float32_prompts(kind: str):
    model = tiny(kind)
    prompt = vectors(model)
    template = "{prompt} {source}" + (" {mask}" if kind in MASKED else "")
    rows = [{"source": source} for source in SOURCES]
    batch = model.batch(rows, prompt, template, WORDS)
    exact, gradient = loss_and_gradient(model.loss(batch, prompt), prompt)
    model.model.to(torch.bfloat16)
    loss, rounded = loss_and_gradient(model.loss(batch, prompt), prompt)
    assert loss.dtype == rounded.dtype == torch.float32
    assert loss.item() == pytest.approx(exact.item(), rel=0.05)
    assert torch.cosine_similarity(rounded.flatten(), gradient.flatten(), dim=0) > 0.9
