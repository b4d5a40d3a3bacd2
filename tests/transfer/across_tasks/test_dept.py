"""DePT: the change of the embeddings, by running the model on changed embeddings."""

import pytest
import torch

from conftest import tiny
from pools import LENGTH, TEXTS, a_batch, build, card_for
from promptgraft.transfer.across_tasks import AdaptivePrompt

POSITIONS = 4


def a_module(model):
    module = build("dept", model, rank=2, positions=POSITIONS)
    module.change_columns.data.normal_()
    return module


@pytest.mark.parametrize("family", ["t5", "bart", "bert", "roberta"])
def test_the_change_is_added_to_the_first_tokens_behind_the_prompt(family):
    """Straight through transformers, with embeddings put together token by token."""
    model = tiny(family)
    module = a_module(model)
    batch = a_batch(model, module)
    with torch.no_grad():
        logits, _ = model.labelled_logits(batch, module)
        change = module.change_rows @ module.change_columns
        embed, vectors = model.model.get_input_embeddings(), []
        for ids in batch.tokens.tolist():
            row, seen, behind = [], 0, False
            for token in ids:
                if token < 0:
                    row.append(module.prompt[-1 - token])
                    behind = True
                    continue
                vector = embed(torch.tensor(token))
                if behind and seen < POSITIONS:
                    vector = vector + change[seen]
                seen += behind
                row.append(vector)
            vectors.append(torch.stack(row))
        inputs = {"inputs_embeds": torch.stack(vectors), "attention_mask": batch.mask}
        if batch.decoder_tokens is not None:
            inputs["decoder_input_ids"] = batch.decoder_tokens
            inputs["decoder_attention_mask"] = batch.decoder_mask
        expected = model.model(**inputs).logits[batch.labels != -100]
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)


def test_it_starts_as_a_plain_prompt():
    model = tiny("t5")
    module = build("dept", model, rank=2, positions=POSITIONS)
    batch = a_batch(model, module)
    plain, _ = model.labelled_logits(batch, {"input": module.prompt})
    assert torch.equal(model.labelled_logits(batch, module)[0], plain)
    assert module.trainable() == LENGTH * 16 + POSITIONS * 2 + 2 * 16


def test_one_batch_with_and_without_a_change():
    model = tiny("t5")
    module = a_module(model)
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
