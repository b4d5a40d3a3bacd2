"""CrossPT: the mixture as a loop, what each configuration has and trains, tasks in one batch."""

import math
from dataclasses import replace

import pytest
import torch

from conftest import tiny
from pools import LENGTH, a_batch, build, some_prompts
from promptgraft.errors import ConfigError

TASKS = ("a", "b")
SOURCES = 3
D = 16

# name: sources drawn or from the pool, sources trained, private prompts
CONFIGURATIONS = {
    "P": (0, False, True),
    "PI": (0, False, True),
    "SL": (1, True, False),
    "SLN": (2, True, False),
    "SL4": (4, True, False),
    "SLP": (1, True, True),
    "SLPN": (2, True, True),
    "SLP3": (3, True, True),
    "SIL": (SOURCES, True, False),
    "SIP": (SOURCES, False, True),
    "SILP": (SOURCES, True, True),
}


@pytest.mark.parametrize("temperature", ["adaptive", "one"])
def test_the_mixture_as_a_loop(temperature):
    """Eq. 1 with the softmax written out, number by number."""
    model = tiny("t5")
    module = build(
        "crosspt", model, tasks=TASKS, encoder="none", temperature=temperature, configuration="SILP"
    )
    module.router.data = torch.randn(len(TASKS), SOURCES + 1)
    tau = 1 / math.log2(1 + SOURCES) if temperature == "adaptive" else 1.0
    sources, private = module.shared()["input"], module.private()["input"]
    for task in range(len(TASKS)):
        powers = [math.exp(logit / tau) for logit in module.router[task].tolist()]
        expected = torch.zeros(LENGTH, D)
        for p in range(LENGTH):
            for d in range(D):
                for s in range(SOURCES):
                    expected[p, d] += powers[s] / sum(powers) * sources[s, p, d]
                expected[p, d] += powers[-1] / sum(powers) * private[task, p, d]
        torch.testing.assert_close(module.each()[task]["input"], expected)


def test_the_code_s_router_as_a_loop():
    """Relaxed Bernoulli samples (Maddison et al. 2017), one row and one column at a time."""
    settings = {"encoder": "none", "router": "bernoulli", "annealed": 8}
    module = build("crosspt", tiny("t5"), tasks=TASKS, **settings)
    module.router.data = torch.randn(len(TASKS), SOURCES + 1)
    rows, sources, private = [1, 0, 1], module.shared()["input"], module.private()["input"]
    batch = replace(a_batch(tiny("t5"), module), tasks=tuple(rows))
    for number in range(10):
        temperature = max(0.001, 0.001 ** (number / 8))
        uniform = torch.rand(3, SOURCES + 1, generator=torch.Generator().manual_seed(number))
        emitted = module(batch)["input"]
        for row, task in enumerate(rows):
            weights = []
            for column in range(SOURCES + 1):
                u = uniform[row, column].item()
                logit = module.router[task, column].item() + math.log(u) - math.log(1 - u)
                weights.append(torch.tensor(logit / temperature).sigmoid().item())
            expected = weights[-1] * private[task]
            for s in range(SOURCES):
                expected = expected + weights[s] * sources[s]
            expected = expected / max(sum(weights), 0.001)
            torch.testing.assert_close(emitted[row], expected, rtol=1e-3, atol=1e-4)


def test_the_code_s_router_draws_in_training_alone():
    model = tiny("t5")
    module = build("crosspt", model, tasks=TASKS, router="bernoulli")
    batch = a_batch(model, module)
    drawn = module(batch)["input"]
    assert not torch.allclose(drawn[0], drawn[1])
    assert not torch.allclose(module(batch)["input"], drawn)
    plain = build("crosspt", model, tasks=TASKS)
    with torch.no_grad():
        assert torch.equal(module(batch)[0]["input"], plain(batch)[0]["input"])
    assert torch.equal(module.each()[1]["input"], plain.each()[1]["input"])
    assert int(module.drawn) == 2


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_what_each_configuration_trains(name):
    sources, trained, private = CONFIGURATIONS[name]
    module = build("crosspt", tiny("t5"), tasks=TASKS, encoder="none", configuration=name)
    columns = sources + private
    numbers = LENGTH * D
    expected = trained * sources * numbers + private * len(TASKS) * numbers
    expected += len(TASKS) * columns if columns > 1 else 0
    assert module.trainable() == expected
    assert module.matrix().shape == (len(TASKS), columns)
    assert len(module.borrowed().columns) == columns


def test_the_paper_s_count_with_a_linear_encoder():
    """(S + T) P D numbers, and one encoder W, b for all prompts (section 6.4)."""
    module = build("crosspt", tiny("t5"), tasks=TASKS, configuration="SILP")
    prompts = (SOURCES + len(TASKS)) * LENGTH * D
    router = len(TASKS) * (SOURCES + 1)
    assert module.trainable() == prompts + D * D + D + router
    own = build("crosspt", tiny("t5"), tasks=TASKS, configuration="SILP", encoders="own")
    assert own.trainable() == prompts + (SOURCES + len(TASKS)) * (D * D + D) + router


@pytest.mark.parametrize("encoder", ["none", "linear", "mlp", "lstm"])
def test_sources_start_as_they_are_in_the_pool(encoder):
    model = tiny("t5")
    module = build("crosspt", model, configuration="SIL", encoder=encoder, hidden=4)
    pool = torch.stack([prompt.vectors for prompt in some_prompts(model).values()])
    torch.testing.assert_close(module.shared()["input"], pool, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(module()["input"], pool.mean(0), rtol=1e-5, atol=1e-5)


def test_private_prompts_start_from_their_own_tasks():
    model = tiny("t5")
    module = build("crosspt", model, tasks=("b", "a"), configuration="PI", encoder="none")
    prompts = some_prompts(model)
    for task, emitted in zip("ba", module.each(), strict=True):
        assert torch.equal(emitted["input"], prompts[f"{task}@tiny"].vectors)
    with pytest.raises(ConfigError, match=r"'z'.*a, b, c"):
        build("crosspt", model, tasks=("z",), configuration="PI")


def test_rates_are_the_paper_s():
    from_pool = build("crosspt", tiny("t5"), configuration="SILP")
    assert (from_pool.rates, from_pool.settings.rate) == ({"shared": 0.05, "router": 0.1}, 0.02)
    drawn = build("crosspt", tiny("t5"), configuration="SLP", lr_router=0.3)
    assert (drawn.rates, drawn.settings.rate) == ({"shared": 0.15, "router": 0.3}, 0.07)


@pytest.mark.parametrize("family", ["gpt2", "t5", "bert"])
@pytest.mark.parametrize("kind", ["soft-prompt", "prefix"])
def test_rows_of_several_tasks_in_one_batch_are_each_as_alone(family, kind):
    """Logits and gradients of a mixed batch are those of one row at a time."""
    model = tiny(family)
    module = build("crosspt", model, tasks=("a", "b", "c"), kind=kind)
    module.router.data = torch.randn_like(module.router)
    template = "{prompt} {text} {mask} ." if family == "bert" else "{prompt} {text} =>"
    texts = ["the film is fun", "a dull story", "the film", "a story is far too long"]
    encoded = model.encode([{"text": t} for t in texts], module, template, ["good", "bad"] * 2)
    for row, task in zip(encoded, [2, 0, 1, 2], strict=True):
        row.task = task

    def gradient(parts):
        module.zero_grad()
        losses = [model.loss(model.collate(part), module, "sum") for part in parts]
        sum(losses).backward()
        return sum(losses).item(), [p.grad.clone() for p in module.parameters()]

    loss, together = gradient([encoded])
    alone_loss, alone = gradient([[row] for row in encoded])
    assert loss == pytest.approx(alone_loss, rel=1e-5)
    for one, other in zip(together, alone, strict=True):
        assert (one - other).norm() <= 1e-4 * other.norm()
    own = model.loss(model.collate(encoded[:1]), module.each()[2], "sum")
    assert own.item() == pytest.approx(gradient([encoded[:1]])[0], rel=1e-6)


def test_a_private_prompt_is_seen_by_its_own_task_alone():
    model = tiny("t5")
    module = build("crosspt", model, tasks=TASKS, encoder="none")
    batch = a_batch(model, module)
    model.loss(batch, module).backward()  # rows of task 0
    assert module.private.tables["input"].grad[0].any()
    assert not module.private.tables["input"].grad[1].any()


@pytest.mark.parametrize("name", ["SIPL", "S", "IP", "SL0", "SILPN"])
def test_unknown_configurations(name):
    with pytest.raises(ConfigError, match="configuration"):
        build("crosspt", tiny("t5"), configuration=name)


def test_from_a_pool_without_one():
    with pytest.raises(ConfigError, match="SLPN"):
        build("crosspt", tiny("t5"), count=0)
    assert build("crosspt", tiny("t5"), count=0, configuration="SLPN").trainable() > 0
