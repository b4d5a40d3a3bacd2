"""The tables of PTG: prompts for each input from a pool of other tasks' prompts, when writing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from promptgraft.analysis import heatmaps
from promptgraft.api import clusters
from promptgraft.studies.claims import Claim
from promptgraft.studies.intervals import difference, mean
from promptgraft.studies.setting import Setting
from promptgraft.studies.tables import Table, of_figures
from promptgraft.studies.tunings import Data, Tuned, Tunings, Way

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KINDS: Mapping[str, tuple[str, ...]] = {
    "summary": ("xsum", "reuters_headline"),
    "question": ("squad_qg",),
    "style": ("wnc",),
    "paraphrase": ("quora_paraphrase",),
    "dialogue": ("personachat", "topical_chat", "dailydialog"),
    "story": ("writingprompts",),
}
PAPER_KINDS: Mapping[str, tuple[str, ...]] = {
    **KINDS,
    "summary": ("cnn_dailymail", "xsum", "msnews", "multi_news", "newsroom"),
    "dialogue": ("personachat", "topical_chat", "dailydialog", "avsd", "multiwoz"),
}
INSTEAD = (
    "Of the paper's 14 sets, xsum stands for CNN/Daily Mail as a target, reuters_headline for "
    "MSNews; Multi-News, NEWSROOM, AVSD and MultiWOZ are left out. Of an input the first 64 tokens "
    "are read."
)
MINIATURE: Way = {
    "steps": 100, "batch_size": 16, "evaluate_every": 50, "evaluate_rows": 100, "test_rows": 100,
    "samples": 0, "max_length": 64,
    "decoding": {"num_beams": 5, "no_repeat_ngram_size": 3, "max_new_tokens": 40},
}  # fmt: skip
PAPER: Way = {
    "steps": 10_000, "batch_size": 96, "accumulate": 8, "evaluate_every": 500, "samples": 0,
    "decoding": {"num_beams": 5, "no_repeat_ngram_size": 3, "max_new_tokens": 128},
}  # fmt: skip
SOURCE: Way = {"length": 20, "lr": 0.03, "steps": 300}
SOURCE_PAPER: Way = {"length": 200, "lr": 1e-3}
RELEASED = "ptg as released"  # with projections of what the attention mixes
RATES = {
    "fine-tuning": (1e-4, 3e-4),
    "prefix": (0.03, 0.1),
    "spot": (0.03, 0.1),
    "multi-task": (1e-4, 3e-4),
    "ptg": (1e-3, 1e-2),
    RELEASED: (1e-3, 1e-2),
}
PAPER_RATES = {
    "fine-tuning": 3e-5, "prefix": 3e-5, "spot": 1e-3, "multi-task": 3e-5, "ptg": 1e-3,
    RELEASED: 1e-3,
}  # fmt: skip
SIZES = (50, 100, 200, 500)
BASELINES = ("fine-tuning", "prefix", "spot", "multi-task")
METHODS = (*BASELINES, "ptg", RELEASED)
ABLATIONS: Mapping[str, Mapping[str, bool]] = {
    "PTG without the pool": {"pool": False},
    "PTG without clusters": {"clustered": False},
    "PTG without the memory": {"memory": False},
    "PTG without instance queries": {"instance": False},
    "PTG": {},
}
SUMMARY = {"ROUGE-1": "rouge1", "ROUGE-2": "rouge2", "ROUGE-L": "rougeL"}
REPLY = {"BLEU-1": "bleu1", "BLEU-2": "bleu2", "Distinct-1": "distinct1", "Distinct-2": "distinct2"}


class PTG(Tunings):
    """Source prompts of many tasks on one model, and what is made of them for a target task."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting, PAPER if setting.full else MINIATURE)
        self.name = setting.models[0]
        self.kinds = PAPER_KINDS if setting.full else KINDS
        self.samples = 5 if setting.full else 2
        first_summary = "cnn_dailymail" if setting.full else "xsum"
        self.targets = {"summary": first_summary, "dialogue": "personachat"}

    def pool(self, tasks: Sequence[str]) -> list[str]:
        """Names of the tasks' source prompts, tuned on all their rows."""
        way = SOURCE_PAPER if self.setting.full else SOURCE
        return self.sources(self.name, tasks, way)

    def other_kinds(self, kind: str) -> list[str]:
        """Tasks of every kind but one: transfer across tasks."""
        return [task for other, own in self.kinds.items() if other != kind for task in own]

    def siblings(self, target: str) -> list[str]:
        """The other tasks of a task's kind: transfer across data sets."""
        return [t for own in self.kinds.values() if target in own for t in own if t != target]

    def way(self, method: str, sources: Sequence[str], **transfer: object) -> Way:
        rate = (PAPER_RATES if self.setting.full else RATES)[method]
        found: dict[str, object] = {"method": method, "lr": rate}
        if method == RELEASED:
            found |= {"method": "ptg"}
            transfer = {"reading": "code", **transfer}
        if found["method"] in ("spot", "ptg"):
            found |= {"pool": self.pool(sources)}
        if method == "multi-task":  # fine-tuning of both kinds, one after the other
            steps = self.usual["steps"]
            found |= {"method": "fine-tuning", "multitask": sources, "multitask_steps": steps}
        if transfer:
            found |= {"transfer": transfer}
        return found

    def runs(self, target: str, way: Way) -> list[Tuned]:
        """On all rows, one for each seed."""
        return self.each(self.name, [(Data(target), n) for n in range(self.setting.seeds)], way)

    def few(self, target: str, size: int, way: Way) -> list[list[Tuned]]:
        """By sample, then by seed: two, at miniature one."""
        seeds = 2 if self.setting.full else 1
        return self.sampled(self.name, target, size, way, self.samples, seeds)


def metrics_of(study: PTG, target: str) -> Mapping[str, str]:
    """What the paper reports for a task."""
    return REPLY if target in study.kinds["dialogue"] else SUMMARY


def published() -> dict[str, Table]:
    """The paper's figures by table."""
    paper = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text())
    return {
        number: of_figures(f"paper-{number}", f"The paper's table {number}", figures)
        for number, figures in paper.items()
    }


def _cells(groups: Sequence[Sequence[Tuned]], columns: Mapping[str, str]) -> list[str]:
    return [
        str(mean([[run.scores[metric] for run in runs] for runs in groups]))
        for metric in columns.values()
    ]


def _table(study: PTG, name: str, title: str, target: str, sources: Sequence[str]) -> Table:
    columns = metrics_of(study, target)
    rows = [
        [
            method,
            *_cells([[run] for run in study.runs(target, study.way(method, sources))], columns),
        ]
        for method in METHODS
    ]
    return Table(f"{name}-{target}", f"{title}: {target}", ["method", *columns], rows)


def table_1(study: PTG) -> list[Table]:
    """Across tasks, all rows."""
    title = "Table 1, sources of other kinds"
    found = [
        _table(study, "1", title, target, study.other_kinds(kind))
        for kind, target in study.targets.items()
    ]
    return [*found, published()["1"]]


def table_2(study: PTG) -> list[Table]:
    """Across data sets of one kind, all rows."""
    found = [
        _table(study, "2", "Table 2, sources of the same kind", target, study.siblings(target))
        for target in ("xsum", "personachat", "dailydialog")
    ]
    return [*found, published()["2"]]


def table_3(study: PTG) -> list[Table]:
    """Across tasks, 50 to 500 rows."""
    return [
        *(
            _few(study, "3", "Table 3, sources of other kinds", target, study.other_kinds(kind))
            for kind, target in study.targets.items()
        ),
        published()["3"],
    ]


def table_4(study: PTG) -> list[Table]:
    """Across data sets of one kind, 50 to 500 rows."""
    return [
        *(
            _few(study, "4", "Table 4, sources of the same kind", target, study.siblings(target))
            for target in ("xsum", "personachat", "dailydialog")
        ),
        published()["4"],
    ]


def _few(study: PTG, name: str, title: str, target: str, sources: Sequence[str]) -> Table:
    columns = metrics_of(study, target)
    rows = [
        [method, str(size), *_cells(study.few(target, size, study.way(method, sources)), columns)]
        for method in METHODS
        for size in SIZES
    ]
    return Table(f"{name}-{target}", f"{title}: {target}", ["method", "rows", *columns], rows)


def table_5(study: PTG) -> list[Table]:
    """What each part of PTG is worth."""
    found = []
    for kind, target in study.targets.items():
        columns = metrics_of(study, target)
        sources = study.other_kinds(kind)
        rows = [
            [name, *_cells([[run] for run in ablated(study, name, target, sources)], columns)]
            for name in ABLATIONS
        ]
        found.append(Table(f"5-{target}", f"Table 5: {target}", ["model", *columns], rows))
    return [*found, published()["5"]]


def ablated(study: PTG, name: str, target: str, sources: Sequence[str]) -> list[Tuned]:
    """Runs of an ablation; without keys the mean of the pool is left, which nothing trains."""
    if not ABLATIONS[name].get("memory", True):
        return [study.mean_of(study.name, Data(target), study.pool(sources))] * study.setting.seeds
    return study.runs(target, study.way("ptg", sources, **ABLATIONS[name]))


def figure_2(study: PTG) -> Figure:
    """Similarities of the source prompts by Eq. 1, in clusters."""
    names = study.pool([task for own in study.kinds.values() for task in own])
    found = clusters(names, "euclidean", library=study.library)
    figure, _ = heatmaps.clustered(found.similarity, found.names, found.groups, "by Eq. 1")
    return figure


def claims(study: PTG) -> list[Claim]:
    """The paper's claims about BLEU-1 and ROUGE-1: paired by target, seeds or samples within."""

    targets = [(target, study.other_kinds(kind)) for kind, target in study.targets.items()]

    def all_rows(method: str) -> list[list[float]]:
        return [
            [_first(study, target, run) for run in study.runs(target, study.way(method, sources))]
            for target, sources in targets
        ]

    def without(name: str) -> list[list[float]]:
        return [
            [_first(study, target, run) for run in ablated(study, name, target, sources)]
            for target, sources in targets
        ]

    def few_rows(method: str) -> list[list[float]]:
        found = []
        for target, sources in targets:
            way = study.way(method, sources)
            runs = [run for size in SIZES for own in study.few(target, size, way) for run in own]
            found.append([_first(study, target, run) for run in runs])
        return found

    ptg = all_rows("ptg")
    return [
        *(
            Claim(f"PTG beats {method}, all rows", difference(ptg, all_rows(method)))
            for method in BASELINES
        ),
        *(
            Claim(f"PTG beats {method}, 50 to 500 rows",
                  difference(few_rows("ptg"), few_rows(method)))
            for method in BASELINES
        ),
        *(
            Claim(f"PTG beats {name}", difference(ptg, without(name)))
            for name in list(ABLATIONS)[:-1]
        ),
    ]  # fmt: skip


def _first(study: PTG, target: str, run: Tuned) -> float:
    first, *_ = metrics_of(study, target).values()
    return run.scores[first]
