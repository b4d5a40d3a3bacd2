"""Metrics that read texts with a pretrained model: BERTScore, BLEURT, MoverScore.

The model is named after a colon: `bertscore:roberta-large@17`, `bleurt:./my-bleurt`; any model of
`transformers` with a fast tokeniser will do, by a local folder or a name of the hub.
"""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from promptgraft.errors import ConfigError
from promptgraft.metrics.metric import Metric, References, Texts, mean_of_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

BATCH = 32
# The layers that bert-score's authors found best, by model.
LAYERS = {
    "roberta-large": 17,
    "roberta-base": 10,
    "bert-base-uncased": 9,
    "bert-large-uncased": 18,
    "distilbert-base-uncased": 5,
    "microsoft/deberta-xlarge-mnli": 40,
}


def bertscore(model: str = "roberta-large") -> Metric:
    """Mean BERTScore F1 (Zhang et al. 2020) against the best reference, without idf weights and
    without rescaling, -100 to 100.

    model  with @<layer>, else the layer its authors chose for it, else its last
    """
    name, _, layer = model.partition("@")
    number = int(layer) if layer.isdigit() else LAYERS.get(name, -1)

    def points(predictions: Texts, references: References) -> list[float]:
        texts = sorted({*predictions, *(text for row in references for text in row)})
        read = dict(zip(texts, _vectors(name, number, texts), strict=True))
        return [
            max(_greedy_f1(read[prediction], read[reference]) for reference in row)
            for prediction, row in zip(predictions, references, strict=True)
        ]

    return _with_model(name, points)


def bleurt(model: str = "Elron/bleurt-base-512") -> Metric:
    """Mean BLEURT (Sellam et al. 2020) against the best reference, times 100.

    model  a checkpoint whose head gives one number for a reference and a prediction
    """

    def points(predictions: Texts, references: References) -> list[float]:
        pairs = [(r, p) for p, row in zip(predictions, references, strict=True) for r in row]
        values = iter(_ratings(model, pairs))
        return [max(next(values) for _ in row) for row in references]

    return _with_model(model, points)


def moverscore(model: str = "distilbert-base-uncased") -> Metric:
    """Mean MoverScore (Zhao et al. 2019) over references, single words of the last layer, times
    100: one minus the least distance that the words' idf weights are moved by. Pieces of words
    after the first and punctuation do not count."""

    def points(predictions: Texts, references: References) -> list[float]:
        import numpy as np

        written = _weighted(model, predictions)
        expected = iter(_weighted(model, [text for row in references for text in row]))
        return [
            float(np.mean([1 - _moved(*next(expected), *one) for _ in row]))
            for one, row in zip(written, references, strict=True)
        ]

    return _with_model(model, points)


def _with_model(model: str, points: Callable[[Texts, References], list[float]]) -> Metric:
    def lack() -> str:
        from huggingface_hub import try_to_load_from_cache

        from promptgraft.models.loading import hub_answers

        if Path(model).is_dir() or try_to_load_from_cache(model, "config.json") or hub_answers():
            return ""
        return f"the model {model}: it is no folder, not in the hub's cache, and the hub is silent"

    return replace(mean_of_rows(points), lack=lack, learned=True)


def _greedy_f1(a: tuple[NDArray[Any], list[str]], b: tuple[NDArray[Any], list[str]]) -> float:
    """Every word against the nearest of the other text; special tokens may be that one only."""
    (x, x_words), (y, y_words) = a, b
    cosine = x @ y.T
    precise = cosine.max(axis=1)[[word != "" for word in x_words]]
    complete = cosine.max(axis=0)[[word != "" for word in y_words]]
    if not len(precise) or not len(complete):
        return 0.0
    p, r = float(precise.mean()), float(complete.mean())
    return 2 * p * r / (p + r) if p + r else 0.0


def _weighted(model: str, texts: Sequence[str]) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    """For each text the vectors of its words and their idf weights, which sum to one.

    The weights are equal where idf tells nothing: in a text whose words all the texts have.
    """
    import numpy as np

    different = sorted(set(texts))
    read = dict(zip(different, _vectors(model, -1, different), strict=True))
    frequency = Counter(word for text in texts for word in set(read[text][1]))
    result = []
    for text in texts:
        vectors, words = read[text]
        counts = [bool(w) and not w.startswith("##") and w not in string.punctuation for w in words]
        idf = np.log([(len(texts) + 1) / (frequency[word] + 1) for word in words])
        weights = np.where(counts, idf, 0.0)
        if not weights.any():
            weights = np.array(counts, dtype=float)
        kept = weights > 0
        result.append((vectors[kept], weights[kept] / max(weights.sum(), 1e-12)))
    return result


def _moved(
    x: NDArray[Any], from_weights: NDArray[Any], y: NDArray[Any], to_weights: NDArray[Any]
) -> float:
    """The earth mover's distance between two weighted sets of unit vectors, exactly; 1 where one
    is empty."""
    import numpy as np
    from scipy.optimize import linprog
    from scipy.sparse import eye, kron, vstack
    from scipy.spatial.distance import cdist

    if not len(x) or not len(y):
        return 1.0
    rows = kron(eye(len(x)), np.ones((1, len(y))))
    columns = kron(np.ones((1, len(x))), eye(len(y)))
    found = linprog(
        cdist(x, y).ravel(),
        A_eq=vstack([rows, columns]),
        b_eq=np.concatenate([from_weights, to_weights]),
        method="highs",
    )
    return float(found.fun)


def _vectors(model: str, layer: int, texts: Sequence[str]) -> Iterator[tuple[Any, list[str]]]:
    """For each text the unit vectors [T, D] of its tokens and the tokens, special ones as ""."""
    import torch

    network, tokenizer = _loaded(model, "AutoModel")
    special = set(tokenizer.all_special_ids)
    for start in range(0, len(texts), BATCH):
        batch = _encoded(
            tokenizer, network, [f" {text.strip()}" for text in texts[start : start + BATCH]]
        )
        with torch.no_grad():
            states = network(**batch, output_hidden_states=True).hidden_states
        if not -len(states) <= layer < len(states):
            raise ConfigError(f"{model} has {len(states) - 1} layers, not {layer}.")
        unit = torch.nn.functional.normalize(states[layer].float(), dim=-1)
        for ids, mask, vectors in zip(
            batch["input_ids"], batch["attention_mask"], unit, strict=True
        ):
            there = mask.bool()
            kept = ids[there].tolist()
            words = tokenizer.convert_ids_to_tokens(kept)
            words = ["" if one in special else word for one, word in zip(kept, words, strict=True)]
            yield vectors[there].numpy(), words


def _ratings(model: str, pairs: Sequence[tuple[str, str]]) -> Iterator[float]:
    import torch

    network, tokenizer = _loaded(model, "AutoModelForSequenceClassification")
    if network.config.num_labels != 1:
        raise ConfigError(
            f"{model} gives {network.config.num_labels} numbers for a pair, BLEURT gives one; name "
            "a BLEURT checkpoint with bleurt:<model>."
        )
    for start in range(0, len(pairs), BATCH):
        references, predictions = zip(*pairs[start : start + BATCH], strict=True)
        batch = _encoded(tokenizer, network, list(references), list(predictions))
        with torch.no_grad():
            yield from network(**batch).logits[:, 0].tolist()


def _encoded(tokenizer: Any, network: Any, *texts: list[str]) -> Any:
    longest = min(tokenizer.model_max_length, network.config.max_position_embeddings - 2)
    return tokenizer(*texts, padding=True, truncation=True, max_length=longest, return_tensors="pt")


@cache
def _loaded(model: str, kind: str) -> tuple[Any, Any]:
    """A model of `transformers` in float32, ready to read, and its tokeniser."""
    import transformers

    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(model)
        network = getattr(transformers, kind).from_pretrained(model)
    except (OSError, ValueError) as error:
        first = str(error).splitlines()[0]
        raise ConfigError(f"The model {model} of a metric cannot be loaded: {first}") from None
    return network.float().eval(), tokenizer
