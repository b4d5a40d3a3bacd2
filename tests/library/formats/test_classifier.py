"""PEFT classifies with an exported prompt as promptgraft chooses among its label words."""

import pytest
import torch
from transformers import AutoModelForSequenceClassification

from conftest import tiny
from promptgraft.errors import PromptgraftError
from promptgraft.library.formats import classifier
from promptgraft.library.formats import peft as format
from promptgraft.models import FrozenModel
from promptgraft.prompts import Prefix, Prompt, PromptCard, SoftPrompt

peft = pytest.importorskip("peft")

P = 4
SOURCES = ["the film is great fun", "a dull , terrible and far too long story"]
WORDS = ("good", "bad", "fun")
EXACT = dict(rtol=0, atol=1e-5)


def made(
    model: FrozenModel, kind: str, words=WORDS, template: str = "{prompt} {source} is"
) -> Prompt:
    card = PromptCard(
        kind=kind,
        length=P,
        base=model.reference,
        task="t",
        template=template,
        verbalizer={str(number): word for number, word in enumerate(words)} or None,
    )
    if kind == "soft-prompt":
        return SoftPrompt(0.3 * torch.randn(P, model.embedding_size), card)
    layers, heads, size = model.geometry.sites["self"]
    return Prefix({"self": torch.randn(layers, 2, P, heads, size)}, card)


def bare(folder, **settings):
    """The model as PEFT's users load it; what is in its own head does not matter."""
    return AutoModelForSequenceClassification.from_pretrained(folder, **settings).eval()


@pytest.mark.parametrize("kind", ["gpt2", "llama", "qwen2", "opt"])
@pytest.mark.parametrize("method", format.TYPES)
def test_exported_prompts_classify_alike(tmp_path, kind, method):
    tiny(kind).save(tmp_path / "model")
    model = FrozenModel.load(str(tmp_path / "model"), "cpu", "float32")
    prompt = made(model, "prefix" if method == "PREFIX_TUNING" else "soft-prompt")
    format.write(prompt, model, tmp_path / "x", method, "SEQ_CLS")
    plain = bare(tmp_path / "model", num_labels=len(WORDS))
    other = peft.PeftModel.from_pretrained(plain, tmp_path / "x")
    assert isinstance(other, peft.PeftModelForSequenceClassification)
    more = {"task_ids": torch.tensor([0])} if method == "MULTITASK_PROMPT_TUNING" else {}
    tokens = [model.encoder.word(word)[0] for word in WORDS]
    for source in SOURCES:
        (row,) = model.encode([source], prompt, None, [WORDS[0]], stop=False)
        logits, _ = model.labelled_logits(model.collate([row]), prompt)
        ids = torch.tensor([[token for token in row.tokens if token >= 0]])
        with torch.no_grad():
            found = other(input_ids=ids, attention_mask=torch.ones_like(ids), **more).logits
        torch.testing.assert_close(found, logits[:, tokens], **EXACT)
        scores = model.choice_scores([source], WORDS, prompt)
        torch.testing.assert_close(found.log_softmax(1), scores.log_softmax(1), **EXACT)


def test_a_head_that_there_is_not(tmp_path):
    def reason(model: FrozenModel, *given, **named) -> str:
        prompt = made(model, "soft-prompt", *given, **named)
        with pytest.raises(PromptgraftError, match="cannot be written for SEQ_CLS") as caught:
            format.write(prompt, model, tmp_path / "x", task_type="SEQ_CLS")
        assert not (tmp_path / "x").exists()
        return str(caught.value)

    gpt2 = tiny("gpt2")
    assert "no label words" in reason(gpt2, ())
    assert "'wonderful' is" in reason(gpt2, ("good", "wonderful"))
    assert "reads the first virtual token" in reason(
        tiny("bert"), template="{prompt} {source} {mask}"
    )
    assert "look for the end of the text" in reason(tiny("bart"))
    shifted = tiny("gpt2")
    layer = shifted.model.get_output_embeddings()
    layer.bias = torch.nn.Parameter(torch.ones(layer.out_features))
    assert "no linear map without bias" in reason(shifted)


@pytest.mark.parametrize("labels", [("2", "10", "33"), ("10", "a", "b")])
def test_rows_are_in_the_order_of_the_labels(labels):
    model = tiny("gpt2")
    prompt = made(model, "soft-prompt")
    rows = model.model.get_output_embeddings().weight[[model.encoder.word(w)[0] for w in WORDS]]
    pairs = list(zip(labels, WORDS, strict=True))
    for order in (pairs, pairs[::-1]):
        card = prompt.card.model_copy(update={"verbalizer": dict(order)})
        assert torch.equal(classifier.head(prompt.with_card(card), model), rows)


def test_why_masked_models_are_refused(tmp_path):
    """PEFT's head on them reads the first virtual token, where their own reads [CLS]."""
    tiny("bert").save(tmp_path)
    plain = bare(tmp_path)
    config = peft.PromptTuningConfig(task_type="SEQ_CLS", num_virtual_tokens=P)
    other = peft.get_peft_model(plain, config).eval()
    ids = torch.tensor([[2, 7, 8, 9, 3]])
    with torch.no_grad():
        found = other(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
        words = torch.cat([other.get_prompt(1), plain.get_input_embeddings()(ids)], dim=1)
        states = plain.bert(inputs_embeds=words).last_hidden_state
        heads = plain.bert.pooler(states), plain.bert.pooler(states[:, P:])
        first, behind = (plain.classifier(state) for state in heads)
    torch.testing.assert_close(found, first, **EXACT)
    assert (found - behind).abs().max() > 1e-3


@pytest.mark.parametrize("kind", ["bart", "t5"])
def test_why_encoder_decoders_are_refused(tmp_path, kind):
    tiny(kind).save(tmp_path)
    config = peft.PromptTuningConfig(task_type="SEQ_CLS", num_virtual_tokens=P)
    other = peft.get_peft_model(bare(tmp_path), config).eval()
    ids = torch.tensor([[7, 8, 9, 2]])
    with pytest.raises(NotImplementedError, match="input embeddings"):
        other(input_ids=ids, attention_mask=torch.ones_like(ids))
