"""Many runs in shared passes come to what each would have come to alone."""

import pytest
import torch

from conftest import tiny
from promptgraft import modules
from promptgraft.errors import TrainingError
from promptgraft.training import Objective, Run, TrainingConfig, encode, train, train_many
from toy import a_task

SETTINGS = {"steps": 8, "batch_size": 4, "lr": 0.05, "evaluate_every": 2}
LENGTHS = (3, 5, 2)


def a_module(model, number, kind="direct"):
    layout = modules.layout("soft-prompt", LENGTHS[number], model)
    generator = torch.Generator().manual_seed(number)
    start = modules.INITIALISERS["vocabulary"]()(model, layout, generator)
    torch.manual_seed(number)
    return modules.build(kind, layout, start)


def rows_of(model, module, number):
    task = a_task(10 + 7 * number)  # a run's epochs end when they end
    return encode(model, task, task.rows("train"), module(), task.template(model.family))


@pytest.mark.parametrize(
    ("kind", "accumulate", "more"),
    [
        *((kind, parts, {}) for kind in ("bert", "gpt2", "t5") for parts in (1, 2)),
        ("gpt2", 2, {"noise": 0.5, "hull": 0.3}),
    ],
)
def test_together_is_one_by_one(tmp_path, kind, accumulate, more):
    model, settings = tiny(kind), SETTINGS | more
    objective = Objective(model, a_task())
    own = ["direct", "mlp", "direct"]
    alone = [a_module(model, n, own[n]) for n in range(3)]
    for number, module in enumerate(alone):
        encoded = rows_of(model, module, number)
        train(module, encoded, objective, TrainingConfig(**settings), tmp_path / str(number))
    together = [a_module(model, n, own[n]) for n in range(3)]
    runs = [Run(module, rows_of(model, module, n)) for n, module in enumerate(together)]
    config = TrainingConfig(**settings, accumulate=accumulate)
    outcomes = train_many(runs, objective, config)
    assert [outcome.steps for outcome in outcomes] == [8, 8, 8]
    for one, other in zip(alone, together, strict=True):
        for a, b in zip(one.parameters(), other.parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-3, atol=2e-4)


def test_each_keeps_its_own_best():
    model = tiny("bert")
    built = [a_module(model, n) for n in range(2)]
    states: list[list[torch.Tensor]] = [[], []]

    def judge(number, best_at):
        def score():
            states[number].append(built[number]()["input"].detach().clone())
            return 1.0 if len(states[number]) == best_at else 0.0

        return score

    runs = [
        Run(module, rows_of(model, module, n), judge(n, n + 2)) for n, module in enumerate(built)
    ]
    outcomes = train_many(runs, Objective(model, a_task()), TrainingConfig(**SETTINGS))
    assert [outcome.best_step for outcome in outcomes] == [4, 6]
    for number, module in enumerate(built):
        assert torch.equal(module()["input"], states[number][number + 1])


def test_a_loss_that_is_no_number_stops_all():
    model = tiny("bert")
    module = a_module(model, 0)
    encoded = rows_of(model, module, 0)
    with torch.no_grad():
        next(module.parameters()).fill_(float("nan"))
    with pytest.raises(TrainingError, match="loss is nan at step 1"):
        train_many([Run(module, encoded)], Objective(model, a_task()), TrainingConfig(**SETTINGS))
