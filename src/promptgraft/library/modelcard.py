"""The page of a repository of prompts on the hub: what the hub reads of it, and what people do."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from promptgraft import minis
from promptgraft.library import names
from promptgraft.library.shards import shard_of
from promptgraft.prompts import PromptCard
from promptgraft.prompts.readme import table

MOST = 200  # prompts with a line and metrics of their own; the hub's pages are not for thousands
HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?", re.ASCII)
HEAD = ("Prompt", "Kind", "Model", "Method", "Metrics", "Licence")


def model_card(repo: str, cards: Mapping[str, PromptCard]) -> str:
    """Markdown with the hub's metadata in front: base models, tags, and the metrics as its
    model-index has them.

    repo   user/name
    cards  by name, all that the repository holds
    """
    shown = dict(sorted(cards.items())[:MOST])
    first = next(iter(shown))
    plural = "s" if len(cards) > 1 else ""
    bases = ", ".join(sorted({card.base.name for card in cards.values()}))
    parts = [
        f"---\n{_metadata(repo, cards, shown)}\n---",
        f"# {repo}",
        f"{len(cards)} continuous prompt{plural} for the frozen model{plural} {bases}, made with "
        "promptgraft. This repository is a prompt library: a clone of it can be used as it is.",
        _usage(repo, first, cards[first]),
        "## Prompts\n\n" + table(HEAD, [_row(name, card) for name, card in shown.items()]),
    ]
    if len(cards) > len(shown):
        parts.append(f"The first {MOST} of {len(cards)}; the others are in the folders.")
    lineage = [
        (f"`{name}`", parent.relation, f"`{parent.name}`", parent.content_hash[:12])
        for name, card in shown.items()
        for parent in card.parents
    ]
    if lineage:
        parts.append("## Lineage\n\n" + table(("Prompt", "", "Made from", "Content"), lineage))
    return "\n\n".join(parts) + "\n"


def _metadata(repo: str, cards: Mapping[str, PromptCard], shown: Mapping[str, PromptCard]) -> str:
    from huggingface_hub import ModelCardData

    kinds = {"soft-prompt": "prompt-tuning", "prefix": "prefix-tuning"}
    bases = sorted({card.base.name for card in cards.values() if _is_on_the_hub(card.base.name)})
    data = ModelCardData(
        base_model=bases or None,
        base_model_relation="adapter" if bases else None,
        library_name="promptgraft",
        tags=["promptgraft", *sorted({kinds[card.kind] for card in cards.values()})],
        model_name=repo.rpartition("/")[2],
        eval_results=[result for name, card in shown.items() for result in _results(name, card)],
    )
    return data.to_yaml()


def _results(name: str, card: PromptCard) -> list[Any]:
    from huggingface_hub import EvalResult

    task = card.task or "untitled"
    found = []
    for key, value in sorted(card.metrics.items()):
        if math.isfinite(value):  # JSON, which the hub keeps it in, has no word for the others
            split, _, metric = key.rpartition(".")
            found.append(
                EvalResult(
                    task_type="text-classification" if card.verbalizer else "text-generation",
                    dataset_type=task,
                    dataset_name=task,
                    dataset_split=split or None,
                    metric_type=metric,
                    metric_name=f"{metric} of {name}",
                    metric_value=value,
                )
            )
    return found


def _usage(repo: str, name: str, card: PromptCard) -> str:
    writes = card.base.family != "masked" and not card.verbalizer
    verb, rest = ("generate", " 'a text'") if writes else ("eval", "")
    return f"""\
## Use it

```
pip install 'promptgraft[hub]'
promptgraft pull {repo}
promptgraft {verb} {name}{rest}
```

From Python:

```python
import promptgraft as pg

pg.pull("{repo}")
print(pg.evaluate("{name}").scores)
```"""


def _row(name: str, card: PromptCard) -> tuple[object, ...]:
    folder = names.to_folder(name)
    metrics = ", ".join(f"{key} {value:.4g}" for key, value in sorted(card.metrics.items()))
    return (
        f"[{name}]({quote(f'{shard_of(folder)}/{folder}')})",
        card.form,
        card.base.name,
        card.method or "",
        metrics,
        card.licence or "",
    )


def _is_on_the_hub(model: str) -> bool:
    """Whether a model's name looks like one of the hub's: not a mini, and no path."""
    is_path = Path(model).is_dir() or model.startswith(minis.PREFIX)
    return HUB_NAME.fullmatch(model) is not None and not is_path
