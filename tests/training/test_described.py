"""What `help` says of settings: each with its usual value and its line."""

import pydoc

import pytest
from pydantic import Field

import promptgraft as pg
from promptgraft.training.described import Described


class One(Described):
    """What it is."""

    first: int = 3
    """Of the first,
    on two lines."""
    second: list[str] = Field(default_factory=list)


class Other(One):
    third: str
    """Of the third."""
    first: int = 4


def test_a_class_lists_its_settings():
    assert One.__doc__ == (
        "What it is.\n\nfirst = 3\n    Of the first,\n    on two lines.\nsecond = []"
    )


def test_what_is_changed_keeps_what_was_said_of_it():
    assert Other.__doc__ == (
        "first = 4\n    Of the first,\n    on two lines.\nsecond = []\nthird\n    Of the third."
    )


@pytest.mark.parametrize("config", [pg.TuneConfig, pg.JointConfig, pg.SharedConfig])
def test_help_explains_every_setting_of_a_run(config):
    text = pydoc.plain(pydoc.render_doc(config))
    for expected in ("evaluate_every = 100", "Steps between evaluations on the validation split."):
        assert expected in text
    assert [name for name, field in config.model_fields.items() if not field.description] == []
