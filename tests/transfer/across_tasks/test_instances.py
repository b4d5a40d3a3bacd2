"""What a method sees of a row: the source alone, the same however the row is run."""

import pytest
import torch

from conftest import tiny
from pools import TEXTS, a_batch
from promptgraft.models.states import mean_states
from promptgraft.transfer.across_tasks import instances
from promptgraft.transfer.across_tasks.instances import Encodings, PooledEmbeddings, sources

FAMILIES = ["gpt2", "opt", "t5", "bart", "bert", "albert"]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_source_has_neither_prompt_nor_answer(family):
    """The same ids with any answer, with none, padded on either side, beginning shared or not."""
    model = tiny(family)
    prompt = torch.randn(3, model.embedding_size)
    template = "it was {prompt} {text} " + ("{mask} ." if model.family == "masked" else "=>")
    rows = [{"text": text} for text in TEXTS]
    found = set()
    for answers in (["good"] * 3, ["bad"] * 3, None):
        encoded = model.encode(rows, prompt, template, answers)
        for side in ("left", "right"):
            for share in (True, False):
                batch = model.collate(encoded, side, share=share)
                found.add(tuple(sources(batch, model.family)))
    assert len(found) == 1
    for text, source in zip(TEXTS, *found, strict=True):
        assert text in model.tokenizer.decode(source, skip_special_tokens=True)


@pytest.mark.parametrize("family", FAMILIES)
def test_encodings_are_means_of_the_top_layer(family):
    """One text at a time, straight through transformers, in place of padded batches."""
    model = tiny(family)
    found = mean_states(model, [*TEXTS, ""], batch_size=2)
    for text, vector in zip(TEXTS, found, strict=False):
        ids = model.encoder.first + model.encoder.tokenize([text])[0] + model.encoder.last
        arguments = {"input_ids": torch.tensor([ids])}
        if model.family == "seq2seq":
            states = model.model.get_encoder()(**arguments).last_hidden_state
        else:
            outputs = model.model(**arguments, output_hidden_states=True)
            states = outputs.hidden_states[-1]
        mean = sum(states[0]) / len(ids)
        torch.testing.assert_close(vector, mean.detach(), rtol=1e-4, atol=1e-5)


def test_pooled_embeddings_as_a_loop():
    model = tiny("gpt2")
    batch = a_batch(model, torch.randn(3, 16))
    found = PooledEmbeddings(model)(batch)
    table = model.model.get_input_embeddings().weight
    for row, ids in enumerate(sources(batch, "causal")):
        for d in range(16):
            assert found[row, d].item() == max(table[token, d].item() for token in ids)


def test_each_source_is_encoded_once_and_kept_on_disk(tmp_path, monkeypatch):
    monkeypatch.setattr("promptgraft.models.loading.CACHE", tmp_path)
    counted = []

    def counting(model, texts, batch_size=32):
        counted.append(len(texts))
        return mean_states(model, texts, batch_size)

    monkeypatch.setattr(instances, "mean_states", counting)
    model, other = tiny("gpt2"), tiny("bert")
    template, prompt = "{prompt} {text} =>", torch.randn(2, 16)
    rows = model.encode([{"text": t} for t in [*TEXTS, *TEXTS]], prompt, template, ["good"] * 6)
    encodings = Encodings(model, other)
    del counted[:]
    whole = encodings.of_rows(rows)
    assert counted == [3]
    assert torch.equal(encodings(model.collate(rows[1:4])), whole[1:4])
    assert counted == [3]
    again = Encodings(model, other)
    del counted[:]
    assert torch.equal(again.of_rows(rows), whole)
    assert not counted
    torch.testing.assert_close(
        whole[:3], mean_states(other, [f"{text} =>" for text in TEXTS]), rtol=1e-5, atol=1e-5
    )
    Encodings(model).of_rows(rows)  # of another encoder: not the same file
    assert len(list((tmp_path / "encodings").iterdir())) == 2


def test_of_rows_outside_of_the_data_set_the_newest_are_kept(monkeypatch):
    monkeypatch.setattr(instances, "MOST_MET", 2)
    model = tiny("gpt2")
    encodings = Encodings(model)
    rows = model.encode(TEXTS, torch.randn(2, 16), "{prompt} {source} =>")
    whole = encodings(model.collate(rows))
    assert len(encodings.met) == 2
    torch.testing.assert_close(encodings(model.collate(rows[:1])), whole[:1])  # once more
    assert len(encodings.met) == 2
