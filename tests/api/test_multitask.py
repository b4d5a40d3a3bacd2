"""Multi-task tuning: what comes out is what two runs come to, one after the other."""

import signal

import pytest
import torch
from safetensors.torch import load_file

from conftest import tiny
from promptgraft import api
from promptgraft.api import TuneConfig
from promptgraft.errors import ConfigError, StoppedError
from promptgraft.library import Library
from writing import put_rows

FIRST = 4  # steps on the others
SETTINGS = {"model": "./gpt2", "dtype": "float32", "batch_size": 4, "steps": 3,
            "evaluate_every": 3, "length": 3, "lr": 0.01, "samples": 0, "test_rows": 2,
            "decoding": {"max_new_tokens": 2}}  # fmt: skip


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A model; folders of two other tasks, of both together, and of the task itself."""
    model = tiny("gpt2")
    model.save(tmp_path / "gpt2")
    rows = {
        name: [{"source": f"the {name} {n}", "target": f"{word} film"} for n in range(20)]
        for name, word in (("a", "good"), ("b", "bad"), ("own", "fun"))
    }
    for name, own in (rows | {"both": rows["a"] + rows["b"]}).items():
        for split in ("train", "validation", "test"):
            put_rows(tmp_path / name / f"{split}.jsonl.gz", own)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def settings(task, **more):
    return SETTINGS | {"task": task, "out": f"run-{task}"} | more


def test_a_prompt_begins_as_one_tuned_on_the_others(folder):
    library = Library(folder / "library")
    others = {"multitask": "a,b", "multitask_steps": FIRST}
    at_once = api.tune(library=library, **settings("own", **others))
    first = settings("both", steps=FIRST, evaluate_every=FIRST)
    both = api.tune(library=library, **first)
    then = settings("own", init="prompt", init_prompt=both.name)
    afterwards = api.tune(library=library, **then)
    assert torch.equal(at_once.prompt.vectors, afterwards.prompt.vectors)
    assert at_once.prompt.card.hyperparameters["multitask"] == ["a", "b"]
    alone = api.tune(library=library, **settings("own"))
    assert not torch.allclose(at_once.prompt.vectors, alone.prompt.vectors, atol=1e-3)


def test_weights_begin_as_those_tuned_on_the_others(folder):
    def tuned(task, **more):
        config = TuneConfig(**settings(task, method="fine-tuning", **more))
        return load_file(api.tune_weights(config).folder / "weights.safetensors")

    at_once = tuned("own", multitask=["a", "b"], multitask_steps=FIRST)
    model = tiny("gpt2").model
    model.load_state_dict(tuned("both", steps=FIRST, evaluate_every=FIRST), strict=False)
    model.save_pretrained(folder / "gpt2")
    afterwards = tuned("own")
    assert at_once.keys() == afterwards.keys()
    for name, weight in at_once.items():
        torch.testing.assert_close(weight, afterwards[name], rtol=0, atol=1e-6)


def test_stopped_on_the_others_nothing_is_kept(folder):
    def stop(now):
        if now.steps == FIRST and now.step == 2:
            signal.raise_signal(signal.SIGINT)

    config = TuneConfig(**settings("own", method="bitfit", multitask=["a"], multitask_steps=FIRST))
    with pytest.raises(StoppedError, match="begin again"):
        api.tune_weights(config, report=stop)
    assert not api.running.has_checkpoint(folder / "run-own")


def test_methods_that_know_other_tasks_by_their_prompts_refuse(folder):
    with pytest.raises(ConfigError, match="multitask is for soft-prompt, prefix and baselines"):
        api.tune(**settings("own", method="spot", pool="glue/*", multitask="a"))
