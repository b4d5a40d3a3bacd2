"""The tables and figures of Zero-Shot Continuous Prompt Transfer (Wu, Wu, Mou 2024).

Prompts for LAMA's relations are tuned on every model; each is moved to every other model by every
method, and asked for the relation's test facts. Nothing is chosen by labels of the target.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import yaml

from promptgraft.studies.claims import Claim
from promptgraft.studies.intervals import difference, mean
from promptgraft.studies.moves import Moves
from promptgraft.studies.tables import Table
from promptgraft.transfer.across_models import Method, Relative
from promptgraft.transfer.across_models.baselines import Direct, Discretize, Random
from promptgraft.transfer.across_models.maps import Projector
from promptgraft.transfer.across_models.recipes import PAPER

METHODS: Mapping[str, Method] = {
    "discretize": Discretize(),
    "projector": Projector(),
    "relative": PAPER,
}
SEARCH_STEPS = (1, 5, 20, 50, 100, 200, 500, 2000)  # Figure 2: along the search
ANCHORS = (128, 256, 512, 1024, 2048, 4096, 8192)  # Figure 4: as many of them as there are, and all
LENGTHS = (1, 3, 5, 10)

Measured = Sequence[Mapping[str, float]]  # accuracies by relation


def by_relation(measured: Measured) -> list[list[float]]:
    """Measurements in the groups that intervals resample."""
    return [[one[relation] for one in measured] for relation in measured[0]]


def published() -> list[Table]:
    """The paper's own figures, at the scale of BERT, RoBERTa, ALBERT and GPT-2."""
    paper = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text())
    return [
        Table("paper-1", "The paper's table 1", ["source -> target", "accuracy"],
              [[pair, f"{value:.2f}"] for pair, value in paper["direct"].items()]),
        _published("paper-2", "The paper's table 2", paper["references"]),
        _published("paper-3", "The paper's table 3", paper["methods"]),
        _published("paper-5", "The paper's table 5", paper["families"]),
        _published("paper-6", "The paper's table 6", paper["classification"]),
    ]  # fmt: skip


def _published(name: str, title: str, values: Mapping[str, Any]) -> Table:
    """Figures by method and target, or by method, source and target."""
    rows: list[tuple[str, str, Mapping[str, float]]] = []
    for method, figures in values.items():
        if all(isinstance(value, float) for value in figures.values()):
            rows.append((method, "", figures))
        else:
            rows += [(method, source, by_target) for source, by_target in figures.items()]
    targets = list(dict.fromkeys(target for _, _, by_target in rows for target in by_target))
    lines = [
        [method, source, *(f"{by_target[t]:.2f}" if t in by_target else "" for t in targets)]
        for method, source, by_target in rows
    ]
    return Table(name, title, ["method", "source", *targets], lines)


def accuracies(
    moves: Moves, sources: Sequence[str], target: str, method: Method, **settings: Any
) -> list[Mapping[str, float]]:
    """Of every seed."""
    return [
        moves.moved(sources, target, method, seed, **settings).accuracy
        for seed in range(moves.seeds)
    ]


def pairs(moves: Moves) -> list[tuple[str, str]]:
    """All ordered pairs of different models."""
    return [(one, other) for one in moves.names for other in moves.names if one != other]


def table_1(moves: Moves) -> Table:
    """Direct transfer, where the sizes of embeddings agree."""
    rows = []
    for source, target in pairs(moves):
        size = moves.model(source).embedding_size
        if size == moves.model(target).embedding_size:
            found = mean(by_relation(accuracies(moves, [source], target, Direct())))
            rows.append([source, target, str(size), str(found)])
    heads = ["source", "target", "D", "accuracy"]
    return Table("1-direct", "Table 1: the numbers as they are", heads, rows)


def table_2(moves: Moves) -> Table:
    """What needs no transfer: random numbers, LAMA's wordings, tuning on the target."""
    rows = []
    for name, measured in references(moves).items():
        cells = [str(mean(by_relation(measured[target]))) for target in moves.names]
        rows.append([name, *cells])
    return Table("2-references", "Table 2: without transfer", ["method", *moves.names], rows)


def references(moves: Moves) -> dict[str, dict[str, Measured]]:
    """By method, then by target."""
    seeds = range(moves.seeds)
    return {
        "random": {
            target: [moves.moved([target], target, Random(seed=s), s).accuracy for s in seeds]
            for target in moves.names
        },
        "manual": {target: [moves.manual(target)] * moves.seeds for target in moves.names},
        "tuned": {target: [moves.tuned(target, s) for s in seeds] for target in moves.names},
    }


def table_3(moves: Moves) -> Table:
    """Methods by source and target, self-transfer on the diagonal, two sources at the end."""
    rows = []
    for name, method in METHODS.items():
        for source in moves.names:
            rows.append([name, source, *_cells(moves, [source], method)])
    for one, other in combinations(moves.names, 2):
        rows.append(["relative", f"{one} + {other}", *_cells(moves, [one, other], PAPER)])
    heads = ["method", "source", *moves.names]
    return Table("3-methods", "Table 3: transfer from one source and from two", heads, rows)


def _cells(moves: Moves, sources: Sequence[str], method: Method) -> list[str]:
    return [
        str(mean(by_relation(accuracies(moves, sources, target, method)))) for target in moves.names
    ]


def table_5(moves: Moves) -> Table:
    """Between masked and causal models; one more row and column for each model."""
    rows = []
    for source in moves.names:
        cells = [
            "" if source == target
            else str(mean(by_relation(accuracies(moves, [source], target, PAPER))))
            for target in moves.names
        ]  # fmt: skip
        rows.append([source, *cells])
    return Table("5-families", "Table 5: between families", ["source", *moves.names], rows)


def claims(moves: Moves) -> list[Claim]:
    """The paper's claims, each by paired differences over relations, pairs of models and seeds."""
    ours = _over_pairs(moves, PAPER)
    everything = Relative()
    bare = PAPER.model_copy(update={"normalise": False})
    equal = [
        (s, t) for s, t in pairs(moves)
        if moves.model(s).embedding_size == moves.model(t).embedding_size
    ]  # fmt: skip
    found = [
        Claim("transfer beats discretization",
              difference(ours, _over_pairs(moves, Discretize()))),
        Claim("transfer beats the projector", difference(ours, _over_pairs(moves, Projector()))),
        Claim("transfer beats random numbers", difference(ours, _over_pairs(moves, Random()))),
        Claim("normalisation helps", difference(ours, _over_pairs(moves, bare))),
        Claim("more anchors help: all against 512",
              difference(_over_pairs(moves, everything),
                         _over_pairs(moves, Relative(anchors=512)))),
    ]  # fmt: skip
    if equal:
        direct, same = _over(moves, Direct(), equal), _over(moves, PAPER, equal)
        found.insert(0, Claim("transfer beats direct copying", difference(same, direct)))
    if len(moves.names) > 2:
        two, mean_of_each = _dual(moves)
        found.append(
            Claim("two sources beat the mean of each alone", difference(two, mean_of_each))
        )
    return found


def _over_pairs(moves: Moves, method: Method) -> list[list[float]]:
    return _over(moves, method, pairs(moves))


def _over(moves: Moves, method: Method, chosen: Sequence[tuple[str, str]]) -> list[list[float]]:
    measured = [
        one for source, target in chosen for one in accuracies(moves, [source], target, method)
    ]
    return by_relation(measured)


def _dual(moves: Moves) -> tuple[list[list[float]], list[list[float]]]:
    """Two sources, and the mean of both alone, for every target that is neither."""
    both: list[Mapping[str, float]] = []
    alone: list[Mapping[str, float]] = []
    for one, other in combinations(moves.names, 2):
        for target in set(moves.names) - {one, other}:
            both += accuracies(moves, [one, other], target, PAPER)
            a, b = (accuracies(moves, [source], target, PAPER) for source in (one, other))
            alone += [{r: (x[r] + y[r]) / 2 for r in x} for x, y in zip(a, b, strict=True)]
    return by_relation(both), by_relation(alone)
