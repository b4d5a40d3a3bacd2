"""Fine-tuning through the same loop."""

import torch

from conftest import TEXTS, tiny
from promptgraft.training import FineTuning, Objective, TrainingConfig, train


class Toy:
    """What `Objective` asks of a task when there are no choices."""

    verbalizer = None


def test_fine_tuning_trains_a_copy(tmp_path):
    model = tiny("gpt2")
    before = {name: tensor.clone() for name, tensor in model.model.state_dict().items()}
    tuned = FineTuning(model)
    encoded = tuned.model.encode(TEXTS, None, "{source} => {target}", ["good"] * len(TEXTS))
    first = model.loss(model.collate(encoded)).item()
    objective = Objective(tuned.model, Toy(), "vocabulary")
    train(tuned, encoded, objective, TrainingConfig(steps=20, lr=0.01), tmp_path)
    assert tuned.model.loss(tuned.model.collate(encoded)).item() < 0.5 * first
    assert model.loss(model.collate(encoded)).item() == first
    assert all(torch.equal(t, before[name]) for name, t in model.model.state_dict().items())
