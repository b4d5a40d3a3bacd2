"""Which way of moving prompts carries best, beyond the paper: many methods, paired.

Chosen on validation facts, reported on test facts; the target's labels serve this comparison
alone, no method sees them.
"""

from collections.abc import Callable, Mapping
from itertools import combinations
from typing import Any

from scipy.stats import spearmanr

from promptgraft.errors import ConfigError
from promptgraft.studies.classification import Classes
from promptgraft.studies.intervals import Mean, difference, mean
from promptgraft.studies.moves import RANDOM, Moves
from promptgraft.studies.ptfer import Measured, accuracies, by_relation, pairs
from promptgraft.studies.relations import CHOSEN, PLAIN, TRAININGS
from promptgraft.studies.tables import Table
from promptgraft.transfer.across_models import Method, Relative
from promptgraft.transfer.across_models.baselines import Discretize
from promptgraft.transfer.across_models.codes import Code
from promptgraft.transfer.across_models.maps import Linear, Procrustes
from promptgraft.transfer.across_models.recipes import DEFAULT, PAPER


def plain(**settings: Any) -> Code:
    """A code of all anchors' embeddings as they are, not scaled."""
    base = {"frame": "plain", "normalise": False, "anchors": None}
    return Code.model_validate(base | settings)


METHODS: Mapping[str, Method] = {
    "the paper": PAPER,
    "relative, all anchors": Relative(),
    "relative, not scaled": Relative(normalise=False),
    **{f"relative, top {k}": Relative(top_k=k) for k in (2, 8, 32, 128, 512)},
    "relative, centred": Relative(frame="centred"),
    "relative, whitened": Relative(frame="whitened"),
    "relative, strong ridge": Relative(ridge=0.1),
    **{f"code of {n}": plain(atoms=n) for n in (1, 2, 4, 8, 16)},
    **{f"code of {n}, centred": plain(atoms=n, frame="centred") for n in (1, 2, 4, 8)},
    **{f"code of {n}, whitened": plain(atoms=n, frame="whitened") for n in (2, 4, 8)},
    **{
        f"softmax of {n}, {t}": plain(by="softmax", atoms=n, temperature=t)
        for n in (2, 8) for t in (0.02, 0.05)
    },
    "softmax of 8, 0.02, scaled": plain(by="softmax", normalise=True),
    "nearest word": Discretize(),
    "nearest word, centred": Discretize(frame="centred"),
    "nearest word, Euclidean": Discretize(by="euclidean"),
    "linear map": Linear(),
    "linear map, scaled": Linear(normalise=True),
    "linear map, strong ridge": Linear(ridge=0.1),
    "linear map, stronger ridge": Linear(ridge=1.0),
    "linear map, stronger ridge, scaled": Linear(ridge=1.0, normalise=True),
    "rotation": Procrustes(),
    "rotation, scaled": Procrustes(normalise=True),
    "rotation, whitened": Procrustes(frame="whitened"),
    **{
        f"rotation, {n:,} anchors, scaled": Procrustes(anchors=n, normalise=True)
        for n in (300, 1000, 3000)
    },
    "nearest word, states": Discretize(frame="states"),
    "linear map, states": Linear(frame="states"),
    "the default": DEFAULT,
    "code of 8, states, 1,000 anchors": Code(anchors=1000),
    **{
        f"code of {n}, states, all anchors": Code(atoms=n, anchors=None)
        for n in (2, 4, 8, 16, 32)
    },
    "code of 8, states, all anchors, not scaled": Code(anchors=None, normalise=False),
}  # fmt: skip
# What sources of other trainings and tasks are moved by.
SENT = ("the paper", "rotation, scaled", "the default")
TASKS = ("sst2", "sst5", "agnews", "dbpedia14", "subj", "mrpc", "paws", "scitail")


def compared(moves: Moves, split: str) -> dict[str, tuple[Mean, Mean]]:
    """By method: accuracy over all ordered pairs and seeds, and its difference to the paper's."""

    def over(method: Method) -> list[list[float]]:
        return by_relation(
            [
                one
                for source, target in pairs(moves)
                for one in accuracies(moves, [source], target, method, split=split)
            ]
        )

    paper = over(PAPER)
    found = {name: over(method) for name, method in METHODS.items()}
    return {name: (mean(own), difference(own, paper)) for name, own in found.items()}


def table(moves: Moves, split: str) -> Table:
    """The methods, best first, on one split."""
    found = sorted(compared(moves, split).items(), key=lambda item: -item[1][0].value)
    rows = [[name, str(own), str(gap)] for name, (own, gap) in found]
    heads = ["method", f"accuracy, {split} facts", "minus the paper's"]
    return Table(f"methods-{split}", f"Methods of transfer, {split} facts", heads, rows)


def by_pair(moves: Moves, split: str) -> Table:
    """Each ordered pair of models: no prompt, moved, tuned on the target's labels."""
    rows = []
    for source, target in pairs(moves):
        found: list[Measured] = [[moves.bare(target, split)] * moves.seeds]
        found += [accuracies(moves, [source], target, METHODS[m], split=split) for m in SENT]
        found += [[moves.tuned(target, seed, split=split) for seed in range(moves.seeds)]]
        rows.append([source, target, *(str(mean(by_relation(one))) for one in found)])
    heads = ["source", "target", "no prompt", *(f"moved: {m}" for m in SENT), "tuned on labels"]
    return Table(f"pairs-{split}", f"By pair of models, {split} facts", heads, rows)


def by_training(moves: Moves, split: str) -> Table:
    """Ways to train the sources: how good they are on their own model, and when they are moved.

    All on validation facts; on test facts plain training and what was chosen by those.
    """
    rows: list[list[str]] = []
    plain: list[list[list[float]]] = []
    for training in TRAININGS if split == "validation" else (PLAIN, CHOSEN):
        own = [
            moves.tuned(name, seed, split=split, training=training)
            for name in moves.names
            for seed in range(moves.seeds)
        ]
        found = [by_relation(own)]
        for method in SENT:
            moved = [
                one
                for source, target in pairs(moves)
                for one in accuracies(
                    moves, [source], target, METHODS[method], split=split, training=training
                )
            ]
            found.append(by_relation(moved))
        plain = plain or found
        gaps = [difference(one, other) for one, other in zip(found, plain, strict=True)]
        means = [mean(one) for one in found]
        cells = [f"{a}; {b}" for a, b in zip(means, gaps, strict=True)]
        rows.append([training, *cells])
    heads = ["training", "on the source", *(f"moved: {method}" for method in SENT)]
    title = f"Training of the sources, {split} facts: accuracy; its difference to plain training's"
    return Table(f"trainings-{split}", title, heads, rows)


def by_sources(moves: Moves, split: str) -> Table:
    """One prompt against several: of the same model from other seeds, or of two models."""
    if len(moves.names) < 3:
        raise ConfigError("This part needs three models: two to move from, one to move to.")
    runs = [
        (source, third, target, seed)
        for source, target in pairs(moves)
        for third in moves.names if third not in (source, target)
        for seed in range(moves.seeds)
    ]  # fmt: skip
    rows: list[list[str]] = []
    for name in ("the paper", "the default"):

        def sent(sources: Callable[[str, str], list[str]], name: str = name) -> list[list[float]]:
            return by_relation(
                [
                    moves.moved(
                        sources(source, third), target, METHODS[name], seed, split=split
                    ).accuracy
                    for source, third, target, seed in runs
                ]
            )

        found = {
            "one": sent(lambda source, _: [source]),
            "two seeds of a model": sent(lambda source, _: [source] * 2),
            "three seeds of a model": sent(lambda source, _: [source] * 3),
            "two models": sent(lambda source, third: sorted((source, third))),
        }
        rows += [
            [name, sources, str(mean(own)), str(difference(own, found["one"]))]
            for sources, own in found.items()
        ]
    title = f"Several sources, {split} facts"
    return Table(f"sources-{split}", title, ["method", "prompts", "accuracy", "minus one"], rows)


def by_sharing(moves: Moves, split: str) -> Table:
    """Prompts that two models share, in words that both know, against prompts of each alone."""
    trios = [
        (one, other, target, seed)
        for one, other in combinations(sorted(moves.names), 2)
        for target in moves.names if target not in (one, other)
        for seed in range(moves.seeds)
    ]  # fmt: skip
    if not trios:
        raise ConfigError("This part needs three models: two to move from, one to move to.")
    own = by_relation(
        [moves.tuned(name, seed, split=split) for *two, _, seed in trios for name in two]
    )
    sharing = by_relation(
        [moves.sharing(two, name, seed, split) for *two, _, seed in trios for name in two]
    )
    rows = [
        ["on their own models", "of each alone", str(mean(own)), ""],
        ["", "shared", str(mean(sharing)), str(difference(sharing, own))],
    ]
    for method in ("the paper", "the default"):
        apart = by_relation(
            [
                moves.moved(two, target, METHODS[method], seed, split=split).accuracy
                for *two, target, seed in trios
            ]
        )
        shared = by_relation(
            [
                moves.shared(two, target, METHODS[method], seed, split)
                for *two, target, seed in trios
            ]
        )
        rows += [
            [f"moved: {method}", "of each alone", str(mean(apart)), ""],
            ["", "shared", str(mean(shared)), str(difference(shared, apart))],
        ]
    tuned = by_relation([moves.tuned(target, seed, split=split) for *_, target, seed in trios])
    rows.append(["tuned on the third model's labels", "", str(mean(tuned)), ""])
    heads = ["", "two models' prompts", "accuracy", "minus of each alone"]
    return Table(f"shared-{split}", f"Prompts that models share, {split} facts", heads, rows)


def by_teaching(moves: Moves, split: str) -> Table:
    """Prompts that learn what the source's prompts answer to training subjects, without labels."""
    runs = [(*pair, seed) for pair in pairs(moves) for seed in range(moves.seeds)]
    moved: dict[str, Method] = {"moved as in the paper": PAPER, "moved": DEFAULT}
    starts: dict[str, Method | None] = {"the moved": DEFAULT, RANDOM: None}
    found: dict[str, Measured] = {"no prompt": [moves.bare(target, split) for _, target, _ in runs]}
    found |= {
        name: [
            moves.moved([source], target, method, seed, split=split).accuracy
            for source, target, seed in runs
        ]
        for name, method in moved.items()
    }
    for name, method in starts.items():
        found[f"taught, from {name}"] = [
            moves.taught(source, target, method, seed, split) for source, target, seed in runs
        ]
    labelled = [moves.tuned(target, seed, split=split) for _, target, seed in runs]
    found["tuned on labels"] = labelled
    found["the source with its own"] = [
        moves.tuned(source, seed, split=split) for source, _, seed in runs
    ]
    rows = [
        [name, str(mean(own)), str(difference(own, by_relation(labelled)))]
        for name, own in ((name, by_relation(one)) for name, one in found.items())
    ]
    title = f"Taught by the source's answers, {split} facts"
    return Table(f"taught-{split}", title, ["prompts", "accuracy", "minus tuned on labels"], rows)


def by_trust(moves: Moves, split: str) -> Table:
    """How well what is known without the target's labels ranks the prompts that are moved to it.

    Spearman's correlation with their accuracy, over the sources and seeds of a target and relation;
    where all are as good as each other there is nothing to rank.
    """
    rows: list[list[str]] = []
    for name in ("the paper", "the default"):
        found: dict[str, dict[str, list[float]]] = {}
        for target in moves.names:
            runs = [
                (source, seed)
                for source in moves.names if source != target
                for seed in range(moves.seeds)
            ]  # fmt: skip
            moved = [
                moves.moved([source], target, METHODS[name], seed, split=split)
                for source, seed in runs
            ]
            own = [moves.tuned(source, seed, split="validation") for source, seed in runs]
            for relation in moves.relations:
                accuracy = [one.accuracy[relation] for one in moved]
                known = {
                    "matching loss": [-one.loss[relation] for one in moved],
                    "the source's own accuracy": [one[relation] for one in own],
                }
                for measure, values in known.items():
                    if len(set(values)) > 1 and len(set(accuracy)) > 1:
                        rank = 100 * float(spearmanr(values, accuracy).statistic)
                        found.setdefault(measure, {}).setdefault(relation, []).append(rank)
        rows += [[name, measure, str(mean(list(own.values())))] for measure, own in found.items()]
    title = f"What ranks moved prompts, {split} facts: Spearman's correlation with accuracy x 100"
    return Table(f"trust-{split}", title, ["method", "known", "correlation"], rows)


def by_task(moves: Moves) -> Table:
    """Prompts of classification tasks, moved between all models of a family.

    Accuracy on test rows among a task's own labels.
    """
    tasks = [Classes(moves, name) for name in TASKS]
    rows: list[list[str]] = []
    for family in dict.fromkeys(moves.model(name).family for name in moves.names):
        runs = [
            (source, target, seed)
            for source, target in pairs(moves)
            if moves.model(source).family == moves.model(target).family == family
            for seed in range(moves.seeds)
        ]
        if not runs:
            continue
        asked = {"no prompt": [[task.bare(target) for _, target, _ in runs] for task in tasks]}
        asked |= {
            f"moved: {name}": [
                [task.moved(source, target, seed, METHODS[name]) for source, target, seed in runs]
                for task in tasks
            ]
            for name in SENT
        }
        asked["tuned"] = [[task.tuned(target, seed) for _, target, seed in runs] for task in tasks]
        found = {name: [moves.memo.all(own) for own in each] for name, each in asked.items()}
        rows += [
            [family, name, str(mean(own)), str(difference(own, found["no prompt"])),
             *(f"{mean([one]).value:.1f}" for one in own)]
            for name, own in found.items()
        ]  # fmt: skip
    heads = ["models", "prompts", "mean over tasks", "minus no prompt", *TASKS]
    return Table("tasks", "Prompts of classification tasks, test rows", heads, rows)
