"""DePT: the change of the embeddings, by running the model on changed embeddings."""

import pytest
import torch

from conftest import tiny
from pools import LENGTH, TEXTS, a_batch, build, card_for
from promptgraft.models import IGNORED
from promptgraft.models.batch import text_of
from promptgraft.transfer.across_tasks import AdaptivePrompt

POSITIONS = 4


def a_module(model, kind="soft-prompt"):
    module = build("dept", model, kind=kind, rank=2, positions=POSITIONS)
    module.change_columns.data.normal_()
    return module


def changed_places(model, ids, labels, begins_behind_virtual):
    """Which change each token of a row gets, found by walking along it; -1: none."""
    places, seen, behind, answered = [], 0, not begins_behind_virtual, False
    for token, label in zip(ids, labels, strict=True):
        text = behind and token >= 0 and not answered
        places.append(seen if text and seen < POSITIONS else -1)
        seen += text
        behind = behind or token < 0
        answered = answered or (model.family == "causal" and label != IGNORED)
    return places


@pytest.mark.parametrize("family", ["t5", "bart", "bert", "roberta", "gpt2", "llama", "gemma"])
def test_the_change_is_added_to_the_first_tokens_behind_the_prompt(family):
    """Straight through transformers, with embeddings put together token by token."""
    model = tiny(family)
    module = a_module(model)
    template = "{prompt} {text} {mask} ." if model.family == "masked" else "{prompt} {text} =>"
    rows = [{"text": text} for text in TEXTS]
    answers = ["good", "bad", "good"] if model.family == "masked" else ["is a film", "bad", "fun"]
    encoded = model.encode(rows, module, template, answers)
    whole = model.collate(encoded, share=False)
    with torch.no_grad():
        logits, _ = model.labelled_logits(model.collate(encoded), module)
        change = module.change_rows @ module.change_columns
        embed, vectors = model.model.get_input_embeddings(), []
        none = torch.full_like(whole.tokens, IGNORED)
        labels = whole.labels if model.family == "causal" else none
        for ids, asked in zip(whole.tokens.tolist(), labels.tolist(), strict=True):
            row, places = [], changed_places(model, ids, asked, True)
            for token, place in zip(ids, places, strict=True):
                own = module.tables["input"][-1 - token] if token < 0 else None
                vector = embed(torch.tensor(token)) if own is None else own
                row.append(vector + change[place] if place >= 0 else vector)
            vectors.append(torch.stack(row))
        inputs = {"inputs_embeds": torch.stack(vectors), "attention_mask": whole.mask}
        if whole.decoder_tokens is not None:
            inputs["decoder_input_ids"] = whole.decoder_tokens
            inputs["decoder_attention_mask"] = whole.decoder_mask
        expected = model.model(**inputs).logits[whole.labels != IGNORED]
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("family", ["t5", "bert", "gpt2"])
def test_with_a_prefix_the_change_is_added_to_all_that_sees_it(family):
    """The plain prefix, and an embedding layer that adds the change itself."""
    model = tiny(family)
    module = a_module(model, "prefix")
    end = "{mask} ." if family == "bert" else "=>"
    template = f"film : {{prompt}} {{text}} {end}"
    rows, answers = [{"text": text} for text in TEXTS], ["good", "bad", "good"]
    batch = model.batch(rows, module, template, answers)
    starts = batch.prefix_at.tolist() if batch.prefix_at is not None else [0] * len(rows)
    assert (family == "gpt2") == all(starts)
    change = module.change_rows @ module.change_columns
    added = torch.zeros(*batch.tokens.shape, 16)
    for row, ids in enumerate(batch.tokens.tolist()):
        labels = batch.labels[row].tolist() if family == "gpt2" else [IGNORED] * len(ids)
        start = starts[row]
        for at, place in enumerate(changed_places(model, ids[start:], labels[start:], False)):
            if place >= 0:
                added[row, start + at] = change[place]
    plain = {name: t for name, t in module().items() if name != "text"}
    calls = []

    def add(_layer, _arguments, output):
        calls.append(output)
        return output + added if len(calls) == 1 else output

    with torch.no_grad():
        found, _ = model.labelled_logits(batch, module)
        reader = model.model.get_encoder() if family == "t5" else model.model
        handle = reader.get_input_embeddings().register_forward_hook(add)
        expected, _ = model.labelled_logits(batch, plain)
        handle.remove()
        bare, _ = model.labelled_logits(batch, plain)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(found, bare, atol=1e-3)


def test_the_shared_prompt_pass_is_concatenation_and_the_answer_stays():
    """Loss and gradients with the prompt in a pass of its own and in the rows' own sequences."""
    model = tiny("gpt2")
    module = a_module(model)
    rows = [{"text": text} for text in TEXTS]
    encoded = model.encode(rows, module, "{prompt} {text} =>", ["good", "is a bad film", "fun"])

    def gradients(share):
        module.zero_grad()
        batch = model.collate(encoded, share=share)
        assert bool(batch.heads) == share
        loss = model.loss(batch, module)
        loss.backward()
        return loss.item(), [weight.grad.clone() for weight in module.parameters()]

    (one, shared), (other, whole) = gradients(True), gradients(False)
    assert one == pytest.approx(other, rel=1e-5)
    for a, b in zip(shared, whole, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)
    short = [row for row in encoded if row.labels.index(next(x for x in row.labels if x >= 0)) < 12]
    assert short  # some answers would be reached by the change if it went on into them
    text = text_of(model.collate(encoded), causal=True)
    for row, ids in enumerate(model.collate(encoded).labels.tolist()):
        first = next(at for at, label in enumerate(ids) if label != IGNORED)
        assert text[row].tolist() == [at <= first for at in range(len(ids))]


def test_it_starts_as_a_plain_prompt():
    model = tiny("t5")
    module = build("dept", model, rank=2, positions=POSITIONS)
    batch = a_batch(model, module)
    plain, _ = model.labelled_logits(batch, {"input": module.tables["input"]})
    assert torch.equal(model.labelled_logits(batch, module)[0], plain)
    assert module.trainable() == LENGTH * 16 + POSITIONS * 2 + 2 * 16


@pytest.mark.parametrize("kind", ["soft-prompt", "prefix"])
@pytest.mark.parametrize("family", ["t5", "gpt2"])
def test_one_batch_with_and_without_a_change(family, kind):
    model = tiny(family)
    module = a_module(model, kind)
    card = card_for(module, model).model_copy(update={"template": "{prompt} {text}"})
    value = AdaptivePrompt(module, card)
    rows = [{"text": text} for text in TEXTS]
    mixed = model.choice_scores(rows, ["good", "bad"], [value, value.usual, value])
    for row, prompt in enumerate([value, value.usual, value]):
        alone = model.choice_scores([rows[row]], ["good", "bad"], prompt)
        torch.testing.assert_close(mixed[row], alone[0], rtol=1e-4, atol=1e-4)
    changed = model.choice_scores(rows, ["good", "bad"], value)
    assert not torch.allclose(changed[1], mixed[1], atol=1e-3)
    assert model.generate(rows, value, num_beams=2, max_new_tokens=3) == [
        model.generate([row], value, num_beams=2, max_new_tokens=3)[0] for row in rows
    ]
