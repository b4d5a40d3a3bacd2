"""BERTScore, BLEURT and MoverScore with tiny models, against their equations as loops."""

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from transformers import BertConfig, BertForSequenceClassification

from conftest import TEXTS, tiny
from promptgraft import metrics
from promptgraft.errors import ConfigError
from promptgraft.models import loading

OUTPUTS = ["the film is great", "a dull , terrible story", "name : good"]
REFERENCES = [["the cast is wonderful", "the film is fun"], [TEXTS[1]], ["The Eagle is good ."]]
LAYER = 2


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    model = tiny("bert")
    path = tmp_path_factory.mktemp("bert")
    model.save(path)
    return path, model


def value(name, predictions, references):
    return metrics.score([name], predictions, references)[name]


def vectors(model, text, layer):
    """Unit vectors of a text's tokens [T, D], one text at a time, and the tokens."""
    encoded = model.tokenizer(text, return_tensors="pt")
    with torch.no_grad():
        states = model.model.base_model(**encoded, output_hidden_states=True).hidden_states[layer][
            0
        ]
    tokens = model.tokenizer.convert_ids_to_tokens(encoded["input_ids"][0])
    return [(state / state.norm()).double().numpy() for state in states], tokens


def literal_bertscore(model, prediction, reference):
    (x, _), (y, _) = vectors(model, prediction, LAYER), vectors(model, reference, LAYER)
    inner_x, inner_y = x[1:-1], y[1:-1]  # [CLS] and [SEP] are found but not counted
    precision = sum(max(float(a @ b) for b in y) for a in inner_x) / len(inner_x)
    recall = sum(max(float(a @ b) for a in x) for b in inner_y) / len(inner_y)
    return 2 * precision * recall / (precision + recall)


def test_bertscore_is_its_equation(bert):
    path, model = bert
    expected = [
        max(literal_bertscore(model, output, reference) for reference in row)
        for output, row in zip(OUTPUTS, REFERENCES, strict=True)
    ]
    found = value(f"bertscore:{path}@{LAYER}", OUTPUTS, REFERENCES)
    assert found == pytest.approx(100 * np.mean(expected), rel=1e-5)
    assert value(f"bertscore:{path}", OUTPUTS, [[text] for text in OUTPUTS]) == pytest.approx(100)
    assert value(f"bertscore:{path}", ["", "good"], [["good"], [""]]) == 0


def test_a_layer_that_is_not_there(bert):
    with pytest.raises(ConfigError, match="has 3 layers, not 9"):
        value(f"bertscore:{bert[0]}@9", OUTPUTS, REFERENCES)


def test_moverscore_of_equal_weights_is_the_best_assignment(bert):
    """One row: idf tells nothing, words weigh the same, and the best flow is an assignment."""
    path, model = bert
    output, reference = "the film is great", "a good cast wonderful"
    (x, words), (y, others) = vectors(model, output, -1), vectors(model, reference, -1)
    kept_x = [v for v, w in zip(x, words, strict=True) if w[0] not in "[#"]
    kept_y = [v for v, w in zip(y, others, strict=True) if w[0] not in "[#"]
    assert len(kept_x) == len(kept_y)
    distances = np.array([[np.linalg.norm(a - b) for b in kept_y] for a in kept_x])
    best = distances[linear_sum_assignment(distances)].mean()
    found = value(f"moverscore:{path}", [output], [[reference]])
    assert found == pytest.approx(100 * (1 - best), rel=1e-4)


def test_moverscore_weighs_rare_words_and_averages_references(bert):
    path, _ = bert
    name = f"moverscore:{path}"
    same = [[text] for text in OUTPUTS]
    assert value(name, OUTPUTS, same) == pytest.approx(100, abs=1e-2)
    texts = OUTPUTS[:2]
    both = value(name, texts, [[texts[0], texts[1]], [texts[1], texts[0]]])
    mixed = value(name, texts, [[texts[1], texts[1]], [texts[0], texts[0]]])
    assert mixed < both < 100
    assert value(name, ["", "good"], [["good"], ["good"]]) == pytest.approx(50, abs=1e-2)


def test_bleurt_is_the_models_number_for_the_best_reference(bert, tmp_path):
    _, model = bert
    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=len(model.tokenizer),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=32,
        num_labels=1,
        initializer_range=0.5,
    )
    network = BertForSequenceClassification(config).eval()
    network.save_pretrained(tmp_path)
    model.tokenizer.save_pretrained(tmp_path)
    expected = []
    for output, row in zip(OUTPUTS, REFERENCES, strict=True):
        pairs = [model.tokenizer(reference, output, return_tensors="pt") for reference in row]
        with torch.no_grad():
            expected.append(max(network(**pair).logits.item() for pair in pairs))
    found = value(f"bleurt:{tmp_path}", OUTPUTS, REFERENCES)
    assert found == pytest.approx(100 * np.mean(expected), rel=1e-4)


def test_a_model_that_is_nowhere_is_missed_before_anything_is_counted(monkeypatch, bert):
    monkeypatch.setattr(loading, "hub_answers", lambda: False)
    with pytest.raises(
        ConfigError, match="bleurt:no/where needs the model no/where: it is no fold"
    ):
        value("bleurt:no/where", OUTPUTS, REFERENCES)
    assert metrics.get("moverscore:no/where").lack()
    assert metrics.get(f"bertscore:{bert[0]}@1").lack() == ""


def test_models_that_do_not_serve(bert, tmp_path):
    with pytest.raises(ConfigError, match="gives 2 numbers for a pair, BLEURT gives one"):
        value(f"bleurt:{bert[0]}", OUTPUTS, REFERENCES)
    with pytest.raises(ConfigError, match="of a metric cannot be loaded"):
        value(f"bertscore:{tmp_path}", OUTPUTS, REFERENCES)
