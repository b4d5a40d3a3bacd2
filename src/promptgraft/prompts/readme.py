"""The card of a prompt as a page to read."""

from collections.abc import Sequence

from promptgraft.prompts.card import PromptCard


def readme(card: PromptCard) -> str:
    """Markdown that depends on the card alone."""
    base = card.base
    revision = f" (revision {base.revision})" if base.revision else ""
    facts = {
        "Kind": card.form,
        "Task": card.task,
        "Base model": f"{base.name}{revision}, {base.family}, {base.embedding_size} dimensions",
        "Model fingerprint": base.fingerprint,
        "Template": card.template and _code(card.template),
        "Verbalizer": ", ".join(
            f"{label} = {_code(word)}" for label, word in sorted((card.verbalizer or {}).items())
        ),
        "Method": card.method,
        "Seed": card.seed,
        "Training data": card.data_hash,
        "Created": card.created,
        "Made with": card.library_version and f"promptgraft {card.library_version}",
        "Licence": card.licence,
    }
    commands = ["promptgraft show .", "promptgraft eval ."]
    if base.family != "masked":
        commands.append("promptgraft generate .")
    parts = [
        f"# {card.title}",
        f"A continuous prompt ({card.kind}) for the frozen model {base.name}.",
        table(("", ""), [(k, v) for k, v in facts.items() if v not in (None, "")]),
        "## Use it\n\nIn this folder:\n\n" + "\n".join(["```", *commands, "```"]) + "\n\n"
        'Or in Python: `promptgraft.prompts.load(".")`.',
    ]
    if card.metrics:
        metrics = [(name, f"{value:.6g}") for name, value in sorted(card.metrics.items())]
        parts.append("## Metrics\n\n" + table(("Metric", "Value"), metrics))
    if card.parents:
        parents = [(p.relation, p.name, p.content_hash[:12]) for p in card.parents]
        parts.append("## Lineage\n\n" + table(("Relation", "Prompt", "Content"), parents))
    if card.hyperparameters:
        settings = sorted((name, str(value)) for name, value in card.hyperparameters.items())
        parts.append("## Hyperparameters\n\n" + table(("Name", "Value"), settings))
    if card.notes:
        parts.append(f"## Notes\n\n{card.notes}")
    return "\n\n".join(parts) + "\n"


def table(head: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> str:
    """A table in Markdown."""
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|").replace("\r", " ").replace("\n", " ")


def _code(text: str) -> str:
    fence = "``" if "`" in text else "`"
    return f"{fence}{text}{fence}"
