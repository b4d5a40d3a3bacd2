"""PTG: Eq. 2-4 as loops in both readings, ablations, one prompt a row."""

import math

import pytest
import torch

from conftest import tiny
from pools import LENGTH, TEXTS, a_batch, build, card_for, given, some_prompts
from promptgraft.errors import ConfigError
from promptgraft.models.states import mean_states
from promptgraft.training import Objective, TrainingConfig, train
from promptgraft.transfer.across_tasks import AdaptivePrompt, restore
from toy import a_task

D = 16
GROUPS = [0, 1, 0]


def softmax(numbers):
    powers = [math.exp(number) for number in numbers]
    return [power / sum(powers) for power in powers]


def dot(one, other, part):
    pairs = zip(one.tolist(), other.tolist(), strict=True)
    products = [a * b for a, b in pairs]
    return sum(products[d] for d in part) / math.sqrt(len(part))


def queries_of(model):
    """Eq. 3 for what the model reads of each row."""
    words = [f"{text} ." for text in TEXTS] if model.family == "masked" else None
    return mean_states(model, words or [f"{text} =>" for text in TEXTS])


@pytest.mark.parametrize("heads", [1, 4])
@pytest.mark.parametrize("instance", [True, False])
@pytest.mark.parametrize("clustered", [True, False])
def test_eq_4_as_a_loop(heads, instance, clustered):
    model, share = tiny("gpt2"), 0.3 if instance else 1.0
    module = build(
        "ptg",
        model,
        groups=GROUPS,
        heads=heads,
        balance=0.3,
        instance=instance,
        clustered=clustered,
    )
    prompts = [prompt.vectors for prompt in some_prompts(model).values()]
    batch = a_batch(model, module)
    emitted = module(batch)["input"]
    task = module.project_query.weight @ module.task_query
    for row, query in enumerate(queries_of(model)):
        own = module.project_query.weight @ query
        expected = torch.zeros(LENGTH, D)
        for head in range(heads):
            part = range(head * D // heads, (head + 1) * D // heads)
            logits = []
            for t in range(3):
                keys = module.cluster_keys[GROUPS] if clustered else module.prompt_keys
                logit = share * dot(task, module.project_key.weight @ keys[t], part)
                if instance:
                    key = module.project_key.weight @ module.prompt_keys[t]
                    logit += (1 - share) * dot(own, key, part)
                logits.append(logit)
            for t, weight in enumerate(softmax(logits)):
                for d in part:
                    expected[:, d] += weight * prompts[t][:, d]
        found = emitted[row] if instance else emitted
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("instance", [True, False])
def test_the_code_s_reading_as_a_loop(instance):
    model, heads, share = tiny("gpt2"), 2, 0.5 if instance else 1.0
    module = build("ptg", model, heads=heads, reading="code", instance=instance)
    prompts = [prompt.vectors for prompt in some_prompts(model).values()]
    emitted = module(a_batch(model, module))["input"]
    task = module.project_query.weight @ module.task_query
    for row, query in enumerate(queries_of(model)):
        expected = torch.zeros(LENGTH, D)
        for weight, one in ((share, task), (1 - share, query)):
            mixed = torch.zeros(LENGTH, D)
            for head in range(heads):
                part = range(head * D // heads, (head + 1) * D // heads)
                scores = softmax([dot(one, module.prompt_keys[t], part) for t in range(3)])
                for t, score in enumerate(scores):
                    mixed[:, part] += score * module.project_value(prompts[t])[:, part]
            expected += weight * module.project_output(mixed)
        found = emitted[row] if instance else emitted
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("family", ["gpt2", "bart", "bert"])
@pytest.mark.parametrize("kind", ["soft-prompt", "prefix"])
def test_a_batch_is_its_rows_one_by_one(family, kind):
    model = tiny(family)
    module = build("ptg", model, kind=kind)
    batch = a_batch(model, module)
    logits, _ = model.labelled_logits(batch, module)
    rows = [
        model.labelled_logits(a_batch(model, module, [text], [answer]), module)[0]
        for text, answer in zip(TEXTS, ("good", "bad", "good"), strict=True)
    ]
    torch.testing.assert_close(logits, torch.cat(rows), rtol=1e-4, atol=1e-4)
    emitted = next(iter(module(batch).values()))
    assert len(emitted) == len(TEXTS)
    assert not torch.allclose(emitted[0], emitted[1])


@pytest.mark.parametrize("family", ["gpt2", "t5", "bert"])
def test_the_frozen_value_scores_writes_and_comes_back_from_disk(family):
    model = tiny(family)
    module = build("ptg", model)
    template = "{prompt} {text} {mask} ." if family == "bert" else "{prompt} {text} =>"
    card = card_for(module, model).model_copy(update={"template": template})
    value = AdaptivePrompt(module, card)
    rows = [{"text": text} for text in TEXTS]
    scores = model.choice_scores(rows, ["good", "bad"], value)
    back = restore(value.state, model, card)
    torch.testing.assert_close(model.choice_scores(rows, ["good", "bad"], back), scores)
    assert back.usual == value.usual
    alone = model.choice_scores(rows[1:2], ["good", "bad"], value)
    torch.testing.assert_close(alone, scores[1:2], rtol=1e-4, atol=1e-4)
    mixed = model.choice_scores(rows, ["good", "bad"], [value, None, value.usual], template)
    torch.testing.assert_close(mixed[0], scores[0], rtol=1e-4, atol=1e-4)
    if family != "bert":
        together = model.generate(rows, value, max_new_tokens=4, num_beams=2)
        assert together == [
            model.generate([row], value, max_new_tokens=4, num_beams=2)[0] for row in rows
        ]
    module.task_query.data.zero_()
    assert torch.equal(model.choice_scores(rows, ["good", "bad"], value), scores)


def test_ablations_change_what_they_say():
    model = tiny("t5")
    names = {
        switch: {name for name, _ in build("ptg", model, **{switch: False}).named_parameters()}
        for switch in ("pool", "clustered", "memory", "instance")
    }
    keys = {"task_query", "prompt_keys", "project_query.weight", "project_key.weight"}
    assert names == {
        "pool": {"single.input"},
        "clustered": keys,
        "memory": set(),
        "instance": keys - {"prompt_keys"} | {"cluster_keys"},
    }
    mean = torch.stack([p.vectors for p in some_prompts(model).values()]).mean(0)
    torch.testing.assert_close(build("ptg", model, memory=False)()["input"], mean)
    assert [build("ptg", model, **{s: False}).adapts for s in names] == [False, True, False, False]


def test_clusters_are_kept_with_the_module():
    module = build("ptg", tiny("t5"), count=5, clusters=2, similarity="normalised")
    assert len(module.cluster_keys) == 2
    assert sorted(set(module.settings.groups)) == [0, 1]
    assert module.state().settings["settings"]["groups"] == module.settings.groups
    with pytest.raises(ConfigError, match="each of the 3"):
        build("ptg", tiny("t5"), groups=[0, 2, 2])


def test_heads_divide_the_sizes():
    assert build("ptg", tiny("t5")).heads == 16
    assert build("ptg", tiny("t5"), heads=6).heads == 4
    with pytest.raises(ConfigError, match="reading=paper"):
        build("ptg", tiny("t5"), kind="prefix", reading="code")


def test_a_tuned_backbone_learns_at_a_rate_of_its_own(tmp_path):
    """One step of Adam moves every number that has a gradient by its learning rate."""
    model = tiny("bart")
    before = {name: w.clone() for name, w in model.model.named_parameters()}
    module = build("ptg", model, backbone="tuned", lr_backbone=1e-4)
    keys, own = module.prompt_keys.clone(), module.tuned.model
    task = a_task(12)
    config = TrainingConfig(steps=1, batch_size=4, lr=0.02, warmup=0, schedule="constant")
    train(module, given(model).rows, Objective(own, task), config, tmp_path)
    assert all(torch.equal(w, before[name]) for name, w in model.model.named_parameters())
    moved = {n: (w - before[n]).abs().max().item() for n, w in own.model.named_parameters()}
    assert moved["model.encoder.layers.0.fc1.weight"] == pytest.approx(1e-4, rel=0.01)
    assert moved["model.shared.weight"] == pytest.approx(1e-4, rel=0.01)
    assert (module.prompt_keys - keys).abs().max().item() == pytest.approx(0.02, rel=0.01)


def test_a_tuned_backbone_encodes_instances_as_before_and_is_not_stored():
    model = tiny("bert")
    module = build("ptg", model, backbone="tuned")
    assert module.rates == {"tuned": 3e-5}
    batch = a_batch(model, module)
    prompts = module(batch)["input"]
    for weight in module.tuned.weights.values():
        weight.data.add_(0.1)
    assert torch.equal(module(batch)["input"], prompts)
    value = AdaptivePrompt(module, card_for(module, model))
    assert not any(name.startswith("tuned") for name in value.state.tensors)
    assert (
        value.state.settings["settings"] | {"backbone": "frozen", "encoder": model.name}
        == (value.state.settings["settings"])
    )
    with pytest.raises(ConfigError, match="lr_backbone is for backbone=tuned"):
        build("ptg", model, lr_backbone=1e-4)
