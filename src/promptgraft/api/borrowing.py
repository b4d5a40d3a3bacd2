"""What a run starts from besides its own data, the source prompts of a library, and took of it."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from torch import Tensor

from promptgraft import modules, tasks
from promptgraft.analysis import borrowing
from promptgraft.analysis.borrowing import Borrowing
from promptgraft.api.config import RATES, TuneConfig
from promptgraft.api.names import name_for, resolve
from promptgraft.errors import ConfigError
from promptgraft.library import Library
from promptgraft.models import Encoded, FrozenModel
from promptgraft.modules import Layout, PromptModule, Start
from promptgraft.prompts import Prompt, PromptCard, load
from promptgraft.tasks import Row
from promptgraft.training import Objective, train
from promptgraft.transfer.across_tasks import AdaptivePrompt, Transfer


def sources(
    config: TuneConfig, model: FrozenModel, tasks: Sequence[str], library: Library | None
) -> dict[str, Prompt]:
    """The pool's prompts by name, in the order they are named; a pattern's in order of names.

    A pattern stands for prompts of this model alone, and never for the run's own results.

    Raises ConfigError for a pattern that nothing fits and for the run's own name, WrongModelError
    for a prompt that is named and belongs to another model.
    """
    store = library or Library()
    own = {name_for(task, model.name, config.tag) for task in tasks}
    found: dict[str, Prompt] = {}
    for pattern in config.pool:
        if not set(pattern) & set("*?["):
            found[pattern] = resolve(pattern, store)
            model.check(found[pattern])
            if pattern in own:
                raise ConfigError(f"pool: the run would replace its source {pattern}; give a tag.")
            continue
        listed = store.list(pattern)
        fitting = [
            entry
            for entry in listed
            if entry.card.base.may_be(model.reference) and entry.name not in own
        ]
        if not fitting:
            others = sorted({entry.card.base.name for entry in listed})
            why = f"those that fit are for {', '.join(others)}" if others else "nothing fits"
            raise ConfigError(
                f"pool: no prompt of {model.name} in {store.path} fits {pattern!r}; {why}. "
                "See: promptgraft ls"
            )
        found |= {entry.name: load(entry.path) for entry in fitting}
    return found


def probe(
    config: TuneConfig,
    layout: Layout,
    draw: Callable[[], Start],
    encoded: Sequence[Encoded],
    objective: Objective,
) -> Callable[[int], Mapping[str, Tensor]]:
    """A function that tunes a plain prompt of the run's data for so many steps."""

    def tune(steps: int) -> Mapping[str, Tensor]:
        module = modules.build("direct", layout, draw())
        rate = RATES[layout.kind, "direct"]
        settings = config.training().model_copy(update={"steps": steps, "lr": rate})
        with TemporaryDirectory() as folder:
            train(module, encoded, objective, settings, Path(folder))
        return layout.flatten({name: tensor.detach() for name, tensor in module().items()})

    return tune


def keep_borrowed(module: PromptModule, folder: Path) -> Borrowing | None:
    """borrowed.csv and borrowed.png in a run's folder; None if nothing was borrowed."""
    found = borrowing.borrowing_of(module) if isinstance(module, Transfer) else None
    if found is not None:
        borrowing.write(found, folder)
    return found


def shares_of_rows(
    value: Prompt | AdaptivePrompt, model: FrozenModel, rows: Sequence[Row]
) -> list[dict[str, float]]:
    """What each row's own prompt is mixed from; none where rows have no mixtures of their own."""
    if not isinstance(value, AdaptivePrompt) or not rows:
        return []
    attention = value.attention(model.collate(model.encode(rows, value)))
    if attention is None:
        return []
    columns, weights = attention
    return [dict(zip(columns, row, strict=True)) for row in weights.tolist()]


def with_shares(card: PromptCard, shares: Mapping[str, Mapping[str, float]]) -> PromptCard:
    """The card with the shares of its own task, if there are any."""
    own = shares.get(tasks.name_of(card.task or ""))
    if own is None:
        return card
    rounded = {name: round(share, 6) for name, share in own.items()}
    settings = {**card.hyperparameters, "borrowed": rounded}
    return card.model_copy(update={"hyperparameters": settings})
