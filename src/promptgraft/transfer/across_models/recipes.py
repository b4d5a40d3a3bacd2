"""Settings that go together, by name."""

from collections.abc import Mapping
from typing import Any

from promptgraft.errors import ConfigError, did_you_mean
from promptgraft.training import read
from promptgraft.transfer.across_models.codes import Code
from promptgraft.transfer.across_models.method import METHODS, Method
from promptgraft.transfer.across_models.relative import Relative

DEFAULT = Code()  # carries best without labels: docs/concepts/models.md
PAPER = Relative(top_k=8192)

RECIPES: dict[str, Method] = {
    "paper": PAPER,
    "paper-code": Relative(top_k=PAPER.top_k, mask_of="last", solver="constrained"),
}


def method_of(
    method: str | None = None,
    recipe: str | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Method:
    """A method or a recipe by name, with its settings; the default is `DEFAULT`.

    settings  of the method's own fields, as Python or as a command line has them; they go before
              a recipe's

    Raises ConfigError for an unknown name, for a method and a recipe at once, and for settings
    that are wrong, all of them in one message.
    """
    if method is not None and recipe is not None:
        raise ConfigError(f"Name a method ({method}) or a recipe ({recipe}), not both.")
    if recipe is not None and recipe not in RECIPES:
        raise ConfigError(
            f"There is no recipe {recipe!r}; there are {', '.join(RECIPES)}."
            + did_you_mean(recipe, RECIPES)
        )
    start = DEFAULT if recipe is None else RECIPES[recipe]
    kind = METHODS[method] if method is not None else type(start)
    own = start.model_dump(exclude_defaults=True) if method is None else {}
    chosen: Method = read(kind, None, {**own, **(settings or {})})
    return chosen
