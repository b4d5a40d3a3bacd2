"""Pools: what they hold, and what does not belong together."""

import pytest
import torch

from conftest import tiny
from pools import some_prompts
from promptgraft import modules
from promptgraft.errors import ConfigError, WrongModelError
from promptgraft.transfer.across_tasks import pool_of


@pytest.mark.parametrize("kind", ["soft-prompt", "prefix"])
def test_tables_are_the_prompts(kind):
    model = tiny("bart")
    prompts = some_prompts(model, kind=kind)
    pool = pool_of(prompts)
    layout = modules.layout(kind, 3, model)
    for number, prompt in enumerate(prompts.values()):
        back = layout.shape({name: table[number] for name, table in pool.tables.items()})
        assert all(torch.equal(back[name], t) for name, t in prompt.tensors().items())
    assert pool.tasks == ("a", "b", "c")
    assert len(pool_of({})) == 0


def test_what_does_not_belong_together():
    bert, t5 = tiny("bert"), tiny("t5")
    a, b = some_prompts(bert, 2).values()
    (other,) = some_prompts(t5, 1).values()
    with pytest.raises(WrongModelError, match=r"a is for tiny/bert, x for tiny/t5.*transfer x"):
        pool_of({"a": a, "x": other})
    with pytest.raises(ConfigError, match="3 virtual tokens, short a soft-prompt of 2"):
        pool_of({"a": a, "short": b[:2]})
    (prefix,) = some_prompts(bert, 1, "prefix").values()
    with pytest.raises(ConfigError, match="prefix of 3 virtual tokens at self"):
        pool_of({"a": a, "p": prefix})
    with pytest.raises(ConfigError, match="wanted is a soft-prompt of 4"):
        pool_of({"a": a, "b": b}, modules.layout("soft-prompt", 4, bert))


def test_a_prompt_imported_without_its_model_belongs_to_the_model_of_its_name():
    model = tiny("bert")
    a, b = some_prompts(model, 2).values()

    def imported(name):
        base = b.card.base.model_copy(update={"fingerprint": None, "name": name})
        return b.with_card(b.card.model_copy(update={"base": base}))

    assert len(pool_of({"a": a, "b": imported("elsewhere/BERT")})) == 2
    with pytest.raises(WrongModelError):
        pool_of({"a": a, "b": imported("tiny/other")})
