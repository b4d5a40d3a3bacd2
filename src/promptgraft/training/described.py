"""Settings that `help` explains: the texts below their fields, said once, are its lines too."""

from inspect import cleandoc
from textwrap import indent
from typing import Any

from pydantic import BaseModel, ConfigDict


class Described(BaseModel):
    """The base of settings: nothing unknown is taken, nothing changes, everything is explained."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        """Put the fields with their usual values below what the class itself says."""
        own = cleandoc(cls.__dict__.get("__doc__") or "")
        lines = [cls._line(name) for name in cls.model_fields]
        cls.__doc__ = "\n\n".join(part for part in (own, "\n".join(lines)) if part)

    @classmethod
    def _line(cls, name: str) -> str:
        """A field, its usual value, and what is said of it, here or where it comes from."""
        known = [base.model_fields.get(name) for base in cls.__mro__ if issubclass(base, Described)]
        said = next((field.description for field in known if field and field.description), "")
        field = cls.model_fields[name]
        usual = field.get_default(call_default_factory=True)
        head = name if field.is_required() else f"{name} = {usual!r}"
        return "\n".join((head, *([indent(said, "    ")] if said else [])))
