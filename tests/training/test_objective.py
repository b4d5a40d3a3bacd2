"""The loss over the label words alone, against its definition."""

from dataclasses import replace

import pytest
import torch

from conftest import tiny
from promptgraft.errors import ConfigError
from promptgraft.training import Objective, encode
from toy import WORDS, a_task


@pytest.mark.parametrize("kind", ["bert", "roberta", "gpt2", "llama", "bart", "t5"])
def test_choices_are_a_softmax_over_the_words(kind):
    task, model = a_task(rows=6), tiny(kind)
    rows, template = task.rows("train"), task.template(model.family)
    prompt = torch.randn(3, model.embedding_size)
    encoded = encode(model, task, rows, prompt, template)
    got = Objective(model, task, "choices", template)(lambda batch: {"input": prompt}, encoded)
    scores = model.choice_scores(rows, list(WORDS.values()), prompt, template)
    labels = torch.tensor([row["label"] for row in rows])
    expected = torch.nn.functional.cross_entropy(scores, labels, reduction="sum")
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)


def test_label_words_of_several_tokens_are_refused():
    task, model = a_task(), tiny("gpt2")
    with pytest.raises(ConfigError, match="wonderful"):
        Objective(model, replace(task, verbalizer={"0": "bad", "1": "wonderful"}), "choices")
