"""What users ask of a model: alone or in a batch, with any mix of prompts, the answers agree."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from conftest import CAUSAL, MASKED, SEQ2SEQ, tiny
from models.reference import bare, ids, lay, nll, relative, target_logits
from promptgraft.errors import ConfigError, DataError, PromptgraftError, WrongModelError
from promptgraft.models import Encoded, FrozenModel
from promptgraft.prompts import Prefix, PromptCard, SoftPrompt

SOURCES = [
    "the film is great fun",
    "a dull story",
    "The Eagle | food : French | area : riverside",
    "long",
    "near the river a terrible restaurant",
    "the cast is wonderful",
]
TARGETS = ["good", "bad", "The Eagle is French .", "a", "it is near the river", "fun"]
WORDS = ["good", "bad", "great", "good", "bad", "fun"]
EXACT = 1e-5
NEW = 6  # tokens to generate


def soft(model: FrozenModel, length: int, template: str | None = None) -> SoftPrompt:
    card = PromptCard(kind="soft-prompt", length=length, base=model.reference, template=template)
    return SoftPrompt(0.5 * torch.randn(length, model.embedding_size), card)


def prefix(model: FrozenModel, length: int, template: str | None = None) -> Prefix:
    card = PromptCard(kind="prefix", length=length, base=model.reference, template=template)
    sites = {
        site: 0.5 * torch.randn(layers, 2, length, heads, size)
        for site, (layers, heads, size) in model.geometry.sites.items()
    }
    return Prefix(sites, card)


def mixed(model: FrozenModel) -> list[SoftPrompt | Prefix | None]:
    """Both kinds, several lengths, several templates, none at all, and one twice."""
    mask = " {mask}" if model.family == "masked" else ""
    infix = "{source} {prompt} =>" + mask
    long = soft(model, 5)
    return [long, soft(model, 2, infix), prefix(model, 3), None, long, prefix(model, 4, infix)]


def rows() -> list[dict[str, Any]]:
    return [{"source": source} for source in SOURCES]


# A batch of any prompts is its rows, one by one.


@pytest.mark.parametrize("kind", CAUSAL + SEQ2SEQ + MASKED)
def test_mixed_prompts_are_one_by_one(kind: str):
    model = tiny(kind)
    prompts, answers = mixed(model), WORDS if kind in MASKED else TARGETS
    together = model.batch(rows(), prompts, None, answers)
    logits = model.labelled_logits(together, prompts)[0]
    alone = []
    for row, prompt, answer in zip(rows(), prompts, answers, strict=True):
        batch = model.batch([row], prompt, None, [answer])
        alone.append(model.labelled_logits(batch, prompt)[0])
    assert relative(logits, torch.cat(alone)) <= EXACT
    scores = model.log_likelihood(rows(), answers, prompts, batch_size=4)
    one_by_one = torch.cat(
        [
            model.log_likelihood([row], [answer], prompt)
            for row, prompt, answer in zip(rows(), prompts, answers, strict=True)
        ]
    )
    assert relative(scores, one_by_one) <= EXACT
    choices = ["good", "bad"]
    scores = model.choice_scores(rows(), choices, prompts, batch_size=4)
    one_by_one = torch.cat(
        [
            model.choice_scores([row], choices, prompt)
            for row, prompt in zip(rows(), prompts, strict=True)
        ]
    )
    assert relative(scores, one_by_one) <= EXACT
    words = model.choose(rows(), choices, prompts)
    assert words == [choices[best] for best in one_by_one.argmax(1).tolist()]


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("kind", CAUSAL + SEQ2SEQ)
def test_mixed_prompts_generate_as_one_by_one(kind: str, beams: int):
    model = tiny(kind)
    prompts = mixed(model)
    settings = dict(max_new_tokens=NEW, num_beams=beams)
    together = model.generate(rows(), prompts, batch_size=4, **settings)
    alone = [
        model.generate([row], prompt, **settings)[0]
        for row, prompt in zip(rows(), prompts, strict=True)
    ]
    assert together == alone
    assert len(set(alone)) > 1
    if kind in CAUSAL:  # the prompts are heard
        assert alone != model.generate(rows(), None, **settings)


@pytest.mark.parametrize("beams", [1, 2])
@pytest.mark.parametrize("kind", SEQ2SEQ)
def test_decoders_of_different_lengths_generate_as_one_by_one(kind: str, beams: int):
    model = tiny(kind)
    template = "{source} {decoder} {prompt}"
    prompts = [soft(model, 5, template), soft(model, 2, template), None]
    prompts += [prefix(model, 2), soft(model, 3, template + " So"), soft(model, 2, template)]
    settings = dict(max_new_tokens=NEW, num_beams=beams)
    together = model.generate(rows(), prompts, **settings)
    alone = [
        model.generate([row], prompt, **settings)[0]
        for row, prompt in zip(rows(), prompts, strict=True)
    ]
    assert together == alone


@pytest.mark.parametrize("kind", ["gpt2", "bart", "bert"])
def test_gradients_reach_every_prompt_of_a_mixed_batch(kind: str):
    model = tiny(kind)
    one = torch.randn(4, model.embedding_size, requires_grad=True)
    other = torch.randn(2, model.embedding_size, requires_grad=True)
    sites = {
        site: torch.randn(layers, 2, 3, heads, size, requires_grad=True)
        for site, (layers, heads, size) in model.geometry.sites.items()
    }
    prompts = [one, other, sites, None, one, sites]
    answers = WORDS if kind in MASKED else TARGETS
    model.loss(model.batch(rows(), prompts, None, answers), prompts).backward()
    for tensor in (one, other, *sites.values()):
        assert (tensor.grad.abs() > 0).all()


@pytest.mark.parametrize("kind", ["gpt2", "mistral", "llama"])
def test_one_prompt_with_different_beginnings_in_a_batch(kind: str):
    """Two templates, and an empty source: each row keeps its own beginning."""
    model = tiny(kind)
    for prompt in (torch.randn(4, 16), torch.randn(3, 4, 16)):  # for all rows, and one per row
        encoded = [
            *model.encode(SOURCES[:1], prompt, "Review: {prompt} {source}", ["good"]),
            *model.encode(SOURCES[1:2], prompt, "{prompt} Which one? {source}", ["bad"]),
            *model.encode([""], prompt, "{prompt} {source}", ["bad"]),
        ]
        logits = model.labelled_logits(model.collate(encoded), prompt)[0]
        alone = [
            model.labelled_logits(
                model.collate([row]), prompt if prompt.ndim == 2 else prompt[number]
            )[0]
            for number, row in enumerate(encoded)
        ]
        assert relative(logits, torch.cat(alone)) <= EXACT


@pytest.mark.parametrize("kind", ["gpt2", "t5", "albert"])
def test_prompts_that_differ_by_row_stay_with_their_rows(kind: str):
    """What an instance-adaptive module emits: [B, P, D], or sites with a leading B."""
    model = tiny(kind)
    vectors = torch.randn(len(SOURCES), 3, model.embedding_size)
    sites = {
        site: torch.randn(len(SOURCES), layers, 2, 3, heads, size)
        for site, (layers, heads, size) in model.geometry.sites.items()
    }
    answers = WORDS if kind in MASKED else TARGETS
    for tensors in (vectors, {"input": vectors}, sites):
        listed = [
            {name: tensor[row] for name, tensor in tensors.items()}
            if isinstance(tensors, dict)
            else tensors[row]
            for row in range(len(SOURCES))
        ]
        for ask in (
            lambda prompt: model.log_likelihood(rows(), answers, prompt, batch_size=4),
            lambda prompt: model.choice_scores(rows(), ["good", "bad"], prompt, batch_size=4),
        ):
            assert relative(ask(tensors), ask(listed)) <= EXACT
        if kind not in MASKED:
            texts = [
                model.generate(rows(), prompt, max_new_tokens=NEW, batch_size=4)
                for prompt in (tensors, listed)
            ]
            assert texts[0] == texts[1]


# Generation.


def watch(model: FrozenModel, monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """Collects what transformers' generation returns."""
    found: list[Tensor] = []
    generate = model.model.generate

    def watched(*arguments: Any, **keywords: Any) -> Tensor:
        found.append(generate(*arguments, **keywords))
        return found[-1]

    monkeypatch.setattr(model.model, "generate", watched)
    return found


GENERATION: dict[str, tuple[str, Callable[[FrozenModel], Any], list[str]]] = {
    "no prompt": ("{source}", lambda m: None, CAUSAL + SEQ2SEQ),
    "soft": ("{prompt} {source}", lambda m: soft(m, 4), CAUSAL + SEQ2SEQ),
    "soft infix": ("{source} {prompt} =>", lambda m: soft(m, 4), CAUSAL + SEQ2SEQ),
    "soft at the end": ("{source} {prompt}", lambda m: soft(m, 1), CAUSAL + SEQ2SEQ),
    "prefix": ("{prompt} {source}", lambda m: prefix(m, 3), CAUSAL + SEQ2SEQ),
    "prefix infix": ("{source} {prompt} =>", lambda m: prefix(m, 3), CAUSAL),
    "prefix at the end": ("{source} {prompt}", lambda m: prefix(m, 3), CAUSAL),
    "decoder": ("{source} {decoder} {prompt} So", lambda m: soft(m, 3), SEQ2SEQ),
    "both": ("{prompt:1} {source} {decoder} {prompt:2}", lambda m: soft(m, 3), SEQ2SEQ),
}


@pytest.mark.parametrize(
    ("case", "kind"), [(case, kind) for case, (_, _, kinds) in GENERATION.items() for kind in kinds]
)
def test_generation_is_teacher_forcing(case: str, kind: str, monkeypatch: pytest.MonkeyPatch):
    """Every token written greedily is the likeliest one after those before it."""
    template, make, _ = GENERATION[case]
    model = tiny(kind)
    found, prompt = watch(model, monkeypatch), make(model)
    end = model.tokenizer.eos_token_id
    for source in SOURCES[:3]:
        model.generate([{"source": source}], prompt, template, max_new_tokens=2 * NEW)
        row = model.encode([{"source": source}], prompt, template)[0]
        start = len(row.decoder_tokens) if kind in SEQ2SEQ else len(row.tokens)
        if kind not in ("mistral", "gemma3"):  # beyond the window, no head is split off
            start -= row.head
        written = found[-1][0, start:].tolist()
        assert written
        written = written[: written.index(end) + 1] if end in written else written
        assert len(written) == 2 * NEW or written[-1] == end
        logits = forced(model, row, written, prompt)
        best = logits.argmax(-1)
        assert best.tolist() == written


def forced(model: FrozenModel, row: Encoded, written: list[int], prompt: Any) -> Tensor:
    """Logits [len(written), V] at the places from which the written tokens are predicted."""
    own = row.decoder_tokens if row.decoder_tokens else row.tokens
    labels = [-100] * (len(own) - 1) + written
    whole = [*own, *written[:-1]]
    if row.decoder_tokens:
        changed = Encoded(row.tokens, [], whole, labels, virtual=row.virtual)
    else:
        changed = Encoded(whole, labels, prefix_at=row.prefix_at, virtual=row.virtual)
    with torch.no_grad():
        return model.labelled_logits(model.collate([changed]), prompt)[0]


@pytest.mark.parametrize("kind", ["gpt2", "mistral", "t5", "bart"])
@pytest.mark.parametrize("template", ["{prompt} {source}", "{source} {prompt} =>"])
def test_stop_strings_end_a_text(kind: str, template: str):
    model = tiny(kind)
    prompt = soft(model, 4)
    texts = model.generate(rows(), prompt, template, max_new_tokens=12)
    stop = next(text for text in texts if len(text) > 6)[3:5]
    stopped = model.generate(rows(), prompt, template, max_new_tokens=12, stop=[stop])
    assert stopped == [text.split(stop)[0].strip() for text in texts]
    assert stopped != texts


@pytest.mark.parametrize("kind", ["gpt2", "mistral", "t5", "bart"])
@pytest.mark.parametrize("beams", [1, 3])
def test_banned_strings_are_not_written(kind: str, beams: int, monkeypatch):
    """By their tokens, those that stand for a string of their own among the ones written before."""
    model = tiny(kind)
    seen: set[int] = set()
    decode = model.tokenizer.batch_decode

    def seeing(ids: list[list[int]], **settings: Any) -> list[str]:
        seen.update(*ids)
        return decode(ids, **settings)

    monkeypatch.setattr(model.tokenizer, "batch_decode", seeing)
    prompt, settings = soft(model, 4), dict(max_new_tokens=12, num_beams=beams)
    model.generate(rows(), prompt, **settings)
    strings = {token: model.tokenizer.decode([token]) for token in sorted(seen)}
    own = model.tokenizer(list(strings.values()), add_special_tokens=False)["input_ids"]
    banned = [token for token, ids in zip(strings, own, strict=True) if ids == [token]]
    assert banned
    seen.clear()
    model.generate(rows(), prompt, banned=[strings[token] for token in banned], **settings)
    assert seen
    assert not seen & set(banned)


@pytest.mark.parametrize("kind", ["gpt2", "gemma3", "t5", "bart"])
def test_penalties_take_virtual_tokens(kind: str):
    model = tiny(kind)
    template = "{source} {decoder} {prompt}" if kind in SEQ2SEQ else "{source} {prompt} =>"
    prompt = soft(model, 4)
    settings = dict(repetition_penalty=1.5, no_repeat_ngram_size=2, max_new_tokens=NEW)
    for beams in (1, 2):
        texts = model.generate(rows(), prompt, template, num_beams=beams, **settings)
        alone = [
            model.generate([row], prompt, template, num_beams=beams, **settings)[0]
            for row in rows()
        ]
        assert texts == alone


@pytest.mark.parametrize("kind", ["gpt2", "bart"])
def test_a_seed_gives_the_same_sample_and_leaves_the_generator_alone(kind: str):
    model = tiny(kind)
    prompt = soft(model, 3)
    settings = dict(do_sample=True, temperature=1.5, max_new_tokens=NEW)
    before = torch.random.get_rng_state()
    one = model.generate(rows(), prompt, seed=1, **settings)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert model.generate(rows(), prompt, seed=1, **settings) == one
    assert model.generate(rows(), prompt, seed=2, **settings) != one


def test_generation_ends_at_the_tokenizers_own_end():
    """A configuration may not name it."""
    model = tiny("gpt2")
    prompt = soft(model, 4)
    model.model.generation_config.eos_token_id = None
    with torch.no_grad():
        model.model.lm_head.weight = torch.nn.Parameter(model.model.lm_head.weight.clone())
        model.model.lm_head.weight[2] = 0
        model.model.transformer.ln_f.bias += 100 * model.model.lm_head.weight[7]
        model.model.lm_head.weight[2] = 2 * model.model.lm_head.weight[7]  # </s>, always
    assert model.generate(SOURCES[:1], prompt, max_new_tokens=NEW) == [""]


def test_generation_without_a_source_begins_with_the_first_token():
    model = tiny("gpt2")
    for prompt in (None, soft(model, 3), prefix(model, 3)):
        texts = model.generate(["", "a dull story"], prompt, max_new_tokens=NEW)
        alone = [model.generate([s], prompt, max_new_tokens=NEW)[0] for s in ("", "a dull story")]
        assert texts == alone


def test_room_is_left_for_what_is_written():
    model = tiny("gpt2")  # 128 positions
    long = " ".join(SOURCES * 10)
    prompt = soft(model, 4)
    text = model.generate([long], prompt, max_new_tokens=100, min_new_tokens=100)
    assert text[0]
    with pytest.raises(DataError, match="too long"):
        model.generate([long], prompt, max_new_tokens=125)
    with pytest.raises(DataError, match="too long"):
        tiny("bart").generate(["a"], max_new_tokens=128)


def test_generation_refuses_what_it_cannot_do():
    with pytest.raises(PromptgraftError, match="masked model"):
        tiny("bert").generate(["a {mask}"])
    with pytest.raises(ConfigError, match=r"no generation setting .num_beam."):
        tiny("gpt2").generate(["a"], num_beam=2)


# Choices.


@pytest.mark.parametrize("choices", [["good", "bad"], ["a good film", "a good story", "bad"]])
@pytest.mark.parametrize("kind", ["gpt2", "llama", "bart", "t5"])
def test_choice_scores_are_the_bare_models_likelihoods(kind: str, choices: list[str]):
    model, plain = tiny(kind), bare(tiny(kind))
    prompt = soft(model, 4)
    expected = torch.zeros(len(SOURCES), len(choices))
    for row, source in enumerate(SOURCES):
        for column, choice in enumerate(choices):
            pieces: list[Any] = [prompt.vectors, ids(model, f" {source}")]
            words, decoder = ids(model, f" {choice}"), None
            if kind == "bart":
                pieces, decoder, words = [[0], *pieces, [2]], [[2]], [0, *ids(model, choice)]
            if kind == "t5":
                pieces, decoder = [*pieces, [1]], [[0]]
            logits = target_logits(plain, pieces, words, decoder)
            expected[row, column] = -nll(logits, words).sum()
    scores = model.choice_scores(SOURCES, choices, prompt)
    assert relative(scores, expected) <= EXACT
    likelihoods = [
        model.log_likelihood(SOURCES, [c] * len(SOURCES), prompt, stop=False) for c in choices
    ]
    assert relative(scores, torch.stack(likelihoods, 1)) <= EXACT


@pytest.mark.parametrize("kind", MASKED)
def test_choices_and_fillings_are_the_words_at_the_mask(kind: str):
    model, plain = tiny(kind), bare(tiny(kind))
    prompt, tokenizer = soft(model, 4), model.tokenizer
    first, last = ([0], [2]) if kind == "roberta" else ([2], [3])
    logits = []
    for source in SOURCES:
        before = [first, prompt.vectors, ids(model, f" {source}")]
        pieces = [*before, [tokenizer.mask_token_id], ids(model, " ."), last]
        place = sum(map(len, before))
        logits.append(plain(inputs_embeds=lay(plain, pieces)).logits[0, place])
    expected = torch.stack(logits).log_softmax(-1)
    words = ["good", "bad", "great", "fun", "not-a-word"]
    known = {word: ids(model, f" {word}")[0] for word in words[:4]}
    template = "{prompt} {text} {mask} ."
    records = [{"text": source} for source in SOURCES]
    scores = model.choice_scores(records, words[:4], prompt, template)
    assert relative(scores, expected[:, list(known.values())]) <= EXACT
    assert model.single_tokens(words) == known
    filled = model.fill(records, prompt, template, words, batch_size=4)
    assert filled == [words[n] for n in expected[:, list(known.values())].argmax(1).tolist()]
    free = model.fill(records, prompt, template)
    assert free == [tokenizer.decode([n]).strip() for n in expected.argmax(1).tolist()]
    with pytest.raises(DataError, match=r"'not-a-word' is \d+ tokens"):
        model.choice_scores(records, words, prompt, template)
    with pytest.raises(DataError, match="No word of the vocabulary"):
        model.fill(records, prompt, template, ["not-a-word"])


def test_choices_follow_the_template_of_each_prompt():
    """One template puts a blank before the answer, another does not."""
    model = tiny("gpt2")
    prompts = [
        soft(model, 3, "{prompt} {source} {target}"),
        soft(model, 3, "{source}\n{prompt}{target}"),
    ]
    choices = ["good", "bad"]
    scores = model.choice_scores(SOURCES[:2], choices, prompts)
    for row, prompt in enumerate(prompts):
        own = [
            model.log_likelihood(SOURCES[row : row + 1], [c], prompt, stop=False) for c in choices
        ]
        assert relative(scores[row], torch.cat(own)) <= EXACT


# What is refused.


def test_a_prompt_of_another_size_of_model_is_refused():
    small = tiny("bert")
    large = tiny("bert", hidden_size=32)
    large.name = "mini/bert-m"
    card = PromptCard(
        kind="soft-prompt",
        length=2,
        task="sst2",
        base=small.reference.model_copy(update={"name": "mini/bert-s"}),
    )
    prompt = SoftPrompt(torch.zeros(2, 16), card)
    with pytest.raises(WrongModelError) as caught:
        large.encode(["a"], prompt)
    assert str(caught.value) == (
        "prompt sst2@mini/bert-s has 16-dimensional virtual tokens, mini/bert-m takes 32.\n"
        "Move it first: promptgraft transfer sst2@mini/bert-s --to mini/bert-m"
    )


def test_a_prompt_of_another_model_of_the_same_size_is_refused_everywhere():
    model, other = tiny("gpt2"), tiny("opt", word_embed_proj_dim=16)
    prompt = soft(other, 3)
    batch = model.batch(["a dull story"], torch.zeros(3, 16), None, ["bad"])
    for ask in (
        lambda: model.encode(["a"], prompt),
        lambda: model.generate(["a"], [prompt]),
        lambda: model.choose(["a"], ["good", "bad"], prompt),
        lambda: model.loss(batch, prompt),
    ):
        with pytest.raises(WrongModelError, match=r"made for tiny/opt \(fingerprint .*\), not for"):
            ask()


def test_a_batch_is_run_with_the_prompt_it_was_encoded_for():
    model = tiny("gpt2")
    batch = model.batch(["a dull story"], torch.zeros(3, 16), None, ["bad"])
    for prompt in (None, torch.zeros(2, 16), torch.zeros(4, 16)):
        with pytest.raises(PromptgraftError, match="encoded for a prompt of 3 virtual tokens"):
            model.loss(batch, prompt)
    with pytest.raises(PromptgraftError, match="encoded for a prompt of 0 virtual tokens"):
        model.loss(model.batch(["a dull story"], None, None, ["bad"]), torch.zeros(3, 16))


def test_shapes_that_do_not_fit_are_named():
    model = tiny("gpt2")
    batch = model.batch(["a dull story"], torch.zeros(3, 16), None, ["bad"])
    with pytest.raises(PromptgraftError, match="8-dimensional virtual tokens, the model takes 16"):
        model.loss(batch, torch.zeros(3, 8))
    sites = {"self": torch.zeros(2, 2, 3, 4, 4)}
    with pytest.raises(PromptgraftError, match=r"takes 'self' \[3, 2, P, 4, 4\]"):
        model.loss(model.batch(["a dull story"], sites, None, ["bad"]), sites)
    with pytest.raises(PromptgraftError, match="either virtual tokens or a prefix"):
        model.loss(batch, {"input": torch.zeros(3, 16)} | sites)
    with pytest.raises(PromptgraftError, match="2 prompts for 1 rows"):
        model.encode(["a"], [None, None])
    with pytest.raises(DataError, match="no rows"):
        model.encode([])
    with pytest.raises(DataError, match="2 answers for 1 rows"):
        model.encode(["a"], answers=["b", "c"])


def test_a_template_without_a_slot_is_refused_for_a_soft_prompt_only():
    model = tiny("gpt2")
    with pytest.raises(ConfigError, match=r"no place for the prompt: add \{prompt\}"):
        model.encode(["a"], soft(model, 3), "{source}")
    assert model.encode(["a"], prefix(model, 3), "{source}")
