"""The tables of Prefix-Tuning (Li, Liang 2021): prefixes against fine-tuning and adapters."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from promptgraft import metrics
from promptgraft.errors import ConfigError
from promptgraft.studies import topics
from promptgraft.studies.claims import Claim
from promptgraft.studies.intervals import difference, mean
from promptgraft.studies.setting import Setting
from promptgraft.studies.tables import Table, of_figures
from promptgraft.studies.tunings import Data, Tuned, Tunings, Way

# The paper's rates are those of models a hundred times larger; at miniature scale one of several is
# chosen on validation data, for tables on E2E's.
RATES = {
    "fine-tuning": (3e-4, 1e-3, 3e-3),
    "top-layers": (1e-3, 3e-3),
    "adapter": (3e-3, 1e-2),
    "prefix": (1e-3, 3e-3),
    "soft-prompt": (0.03, 0.1),
}
MINIATURE: Way = {
    "steps": 200, "batch_size": 16, "evaluate_every": 50, "evaluate_rows": 100, "test_rows": 100,
    "samples": 0, "decoding": {"num_beams": 5, "max_new_tokens": 60},
}  # fmt: skip
PAPER: Way = {  # with each method's settings for a task: table 5, in the YAML file
    "average": "sentences", "evaluate_every": 1000, "evaluate_rows": 500, "samples": 0,
    "decoding": {"num_beams": 5, "max_new_tokens": 100, "min_new_tokens": 5},
}  # fmt: skip
PAPER_DEFAULT: Way = {"lr": 5e-5, "epochs": 10, "batch_size": 5, "length": 10}  # section 5.3
LONG_TABLES: Way = {"batch_size": 8}  # WebNLG's and DART's are twice as long as E2E's
SUMMARY: Way = {"steps": 100, "batch_size": 8, "max_length": 64}  # of an article's first sentences
PAPER_SUMMARY: Way = {  # articles are cut to 512 tokens
    "max_length": 512,
    "decoding": {"num_beams": 6, "length_penalty": 0.8, "min_new_tokens": 11, "max_new_tokens": 62},
}  # fmt: skip
FEW: Way = {"steps": 200, "batch_size": 10, "warmup": 0.25, "evaluate_every": 25}
FEW_PAPER: Way = {"steps": 400, "batch_size": 10, "warmup": 0.25, "evaluate_every": 50}
SIZES = (50, 100, 200, 500)
LENGTHS = (1, 5, 10, 20, 40)
BEST_LENGTH = 10  # figure 4
LONG, SHORT = 40, 5  # prefixes of table 2
PAPER_LONG, PAPER_SHORT = 200, 10
FIT = 500  # the paper's steps that bring the MLP near the words it starts from, in low data
INFIX = "{source} {prompt} =>"
RANDOM = "random"
STARTS = (RANDOM, "table-to-text", "summarize", "elephant", "divide")
OWN_WORD = {"e2e": "table-to-text", "xsum": "summarize"}

TABLES = {
    "BLEU": "e2e_bleu",
    "NIST": "nist",
    "METEOR": "meteor",
    "ROUGE-L": "coco_rougeL",
    "CIDEr": "cider",
}
TRIPLES = {"BLEU": "bleu", "METEOR": "meteor", "TER": "ter"}
CATEGORIES = {"S": "seen.", "U": "unseen.", "A": ""}  # of WebNLG's test rows
LEARNED = {"MoverScore": "moverscore", "BERTScore": "bertscore", "BLEURT": "bleurt"}
SUMMARIES = {"ROUGE-1": "rouge1", "ROUGE-2": "rouge2", "ROUGE-L": "rougeL"}


class PrefixTuning(Tunings):
    """The runs of the paper, on a causal model for tables and a seq2seq model for summaries."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting, PAPER if setting.full else MINIATURE)
        self.samples = 5 if setting.full else 2

    @property
    def writer(self) -> str:
        """The causal model."""
        return self._of_family("causal")

    @property
    def summariser(self) -> str:
        return self._of_family("seq2seq")

    def _of_family(self, family: str) -> str:
        for name in self.setting.models:
            if self.model(name).family == family:
                return name
        raise ConfigError(f"This part needs a {family} model; name one more with --model.")

    def way(self, method: str, **settings: object) -> Way:
        """A method with its rates; the paper's depend on the task (see `_published`)."""
        rates = {} if self.setting.full else {"lr": RATES[method]}
        return {"method": method, **rates, **settings}

    def prefix(self, **settings: object) -> Way:
        """A prefix through an MLP."""
        length = {} if self.setting.full else {"length": 10}
        return self.way("prefix", **{"module": "mlp", **length, **settings})

    def start(self, word: str) -> Way:
        """A prefix that starts from a word, in the paper as long as it; or from random numbers."""
        if word == RANDOM:
            return self.prefix(init="uniform")
        text = {"init": "text", "init_text": word}
        if not self.setting.full:
            return self.prefix(**text)
        tokens = self.model(self.writer).tokenizer(word, add_special_tokens=False)["input_ids"]
        return self.prefix(**text, fit=FIT, length=len(tokens))

    def prefix_for(self, task: str) -> Way:
        """The prefix of low data: in the paper it starts from a word for the task."""
        return self.start(OWN_WORD[task]) if self.setting.full else self.prefix()

    @property
    def methods(self) -> Mapping[str, Way]:
        return {
            "fine-tuning": self.way("fine-tuning"),
            "top 2 layers": self.way("top-layers", weights={"layers": 2}),
            "adapter 3 %": self.way("adapter", weights={"share": 0.03}),
            "adapter 0.1 %": self.way("adapter", weights={"share": 0.001}),
            "prefix": self.prefix(),
        }

    def runs(self, model: str, data: Data, way: Way) -> list[Tuned]:
        """One for each seed."""
        settings = self._published(way, data) if self.setting.full else self._for(data.task)
        way = {**settings, **way}
        return self.each(model, [(data, seed) for seed in range(self.setting.seeds)], way)

    def few(self, model: str, task: str, size: int, way: Way) -> list[list[Tuned]]:
        """In low data: by sample, then by seed; two seeds as in the paper, one at miniature."""
        if self.setting.full:
            way = {**self._published(way, Data(task)), **way, **FEW_PAPER}
        else:
            way = {**way, **FEW, **self._for(task)}
        return self.sampled(model, task, size, way, self.samples, 2 if self.setting.full else 1)

    def rate(self, model: str, data: Data, way: Way) -> float:
        """One for each method and model."""
        return super().rate(model, Data("xsum" if data.task == "xsum" else "e2e"), way)

    def _for(self, task: str) -> Way:
        """What other tasks than E2E need beside `usual` at miniature scale."""
        return {"e2e": {}, "xsum": SUMMARY}.get(task, LONG_TABLES)

    def _published(self, way: Way, data: Data) -> Way:
        """The paper's settings of a method for a task; what the way says itself goes before."""
        share = way.get("weights", {}).get("share")
        method = way["method"] if share is None else f"{way['method']} {share:g}"
        own = {**PAPER_DEFAULT, **_paper()["settings"].get(method, {}).get(data.task, {})}
        rows = len(self.task(data).rows("train"))
        own["steps"] = math.ceil(own.pop("epochs") * rows / own["batch_size"])
        if way["method"] not in ("prefix", "soft-prompt"):
            del own["length"]
        return {**own, **(PAPER_SUMMARY if data.task == "xsum" else {})}


def published() -> dict[str, Table]:
    """The paper's figures, by the name of the part that measures the same."""
    paper = _paper()
    return {
        part: of_figures(f"paper-{part}", f"The paper's table {part}", paper[name])
        for part, name in {"1": "tables", "2": "summaries", "3": "topics", "4": "places"}.items()
    }


def _paper() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text())
    return found


def values(runs: Sequence[Tuned], metric: str) -> list[float]:
    """One metric of some runs."""
    return [run.scores[metric] for run in runs]


def lacking() -> dict[str, str]:
    """Metrics of the paper that cannot be measured here, and what they need."""
    needs = {name: metrics.get(own).lack() for name, own in (TABLES | TRIPLES | LEARNED).items()}
    return {name: need for name, need in needs.items() if need}


def measurable(named: Mapping[str, str]) -> dict[str, str]:
    """Those of some metrics that are not lacking."""
    return {name: metric for name, metric in named.items() if not metrics.get(metric).lack()}


def columns() -> dict[str, tuple[str, str]]:
    """Table 1's: task and metric by head."""
    triples = measurable(TRIPLES)
    return {
        **{f"e2e {name}": ("e2e", metric) for name, metric in measurable(TABLES).items()},
        **{
            f"webnlg {letter} {name}": ("webnlg", f"{group}{metric}")
            for name, metric in triples.items()
            for letter, group in CATEGORIES.items()
        },
        **{f"dart {name}": ("dart", m) for name, m in (triples | measurable(LEARNED)).items()},
    }


def table_1(study: PrefixTuning) -> list[Table]:
    """Tables to text: five methods on three tasks, and what each keeps for a task."""
    rows = []
    for name, way in study.methods.items():
        cells = []
        for task, metric in columns().values():
            runs = study.runs(study.writer, Data(task), way)
            cells.append(str(mean([[value] for value in values(runs, metric)])))
        kept = study.runs(study.writer, Data("e2e"), way)[0]
        rows.append([name, f"{kept.stored:,}", f"{kept.share:.2%}", *cells])
    heads = ["method", "numbers kept", "share", *columns()]
    title = f"Table 1: tables to text, {study.writer}"
    return [Table("1-tables", title, heads, rows), published()["1"]]


def table_2(study: PrefixTuning) -> list[Table]:
    """Summaries: fine-tuning, a long prefix and a short one."""
    long, short = (PAPER_LONG, PAPER_SHORT) if study.setting.full else (LONG, SHORT)
    ways = {
        "fine-tuning": study.way("fine-tuning"),
        "prefix": study.prefix(length=long),
        "short prefix": study.prefix(length=short),
    }
    rows = [
        [name, *_cells(study.runs(study.summariser, Data("xsum"), way), SUMMARIES)]
        for name, way in ways.items()
    ]
    title = f"Table 2: summaries, {study.summariser}"
    return [Table("2-summaries", title, ["method", *SUMMARIES], rows), published()["2"]]


def table_3(study: PrefixTuning) -> list[Table]:
    """Summaries of articles on topics that were not trained on (see `topics`)."""
    rows = []
    for name, way in (("fine-tuning", study.way("fine-tuning")), ("prefix", study.prefix())):
        cells: list[str] = []
        for split in topics.SPLITS:
            runs = study.runs(study.summariser, Data("xsum", topics=split), way)
            cells += _cells(runs, SUMMARIES)
        rows.append([name, *cells])
    heads = ["method", *(f"{split} {n}" for split in topics.SPLITS for n in SUMMARIES)]
    title = f"Table 3: other topics, {study.summariser}"
    return [Table("3-topics", title, heads, rows), published()["3"]]


def table_4(study: PrefixTuning) -> list[Table]:
    """Where the trained numbers are: at every layer before, at the input alone, in between."""
    rows = [
        [name, *_cells(study.runs(study.writer, Data("e2e"), way), measurable(TABLES))]
        for name, way in places(study).items()
    ]
    title = f"Table 4: prefix, embeddings alone, infix, {study.writer}"
    return [Table("4-places", title, ["method", *measurable(TABLES)], rows), published()["4"]]


def places(study: PrefixTuning) -> dict[str, Way]:
    """The ways of table 4."""
    soft = {f"embedding-only {n}": study.way("soft-prompt", length=n) for n in (1, 10, 20)}
    infix = {f"infix {n}": study.prefix(length=n, template=INFIX) for n in (1, 10, 20)}
    return {"prefix": study.prefix(), **soft, **infix}


def _cells(runs: Sequence[Tuned], columns: Mapping[str, str]) -> list[str]:
    return [str(mean([[v] for v in values(runs, metric)])) for metric in columns.values()]


def claims(study: PrefixTuning) -> list[Claim]:
    """The paper's claims, each by paired differences over samples or seeds."""
    e2e = Data("e2e")
    prefix, whole = study.prefix(), study.way("fine-tuning")
    writer = study.writer

    def few(way: Way) -> list[list[float]]:
        """By sample: all sizes and seeds."""
        by_size = [study.few(writer, "e2e", size, way) for size in SIZES]
        return [
            [run.scores["e2e_bleu"] for runs in by_size for run in runs[sample]]
            for sample in range(study.samples)
        ]

    def full(way: Way, data: Data = e2e, metric: str = "e2e_bleu") -> list[list[float]]:
        return [[value] for value in values(study.runs(writer, data, way), metric)]

    def at_100(way: Way) -> list[list[float]]:
        return [values(runs, "e2e_bleu") for runs in study.few(writer, "e2e", 100, way)]

    unseen = Data("webnlg"), "unseen.bleu"
    best = full(study.prefix(length=BEST_LENGTH))
    shortest, longest = (full(study.prefix(length=n)) for n in (LENGTHS[0], LENGTHS[-1]))
    ways = places(study)
    return [
        Claim("prefixes beat fine-tuning with 50 to 500 rows",
              difference(few(study.prefix_for("e2e")), few(whole))),
        Claim("prefixes beat fine-tuning on unseen categories",
              difference(full(prefix, *unseen), full(whole, *unseen))),
        Claim("prefixes beat infixes", difference(full(prefix), full(ways["infix 10"]))),
        Claim("infixes beat embeddings alone",
              difference(full(ways["infix 10"]), full(ways["embedding-only 10"]))),
        Claim(f"length: {BEST_LENGTH} beats {LENGTHS[0]}", difference(best, shortest)),
        Claim(f"length: {BEST_LENGTH} beats {LENGTHS[-1]}", difference(best, longest)),
        Claim("real words to start from beat random numbers, 100 rows",
              difference(at_100(study.start("table-to-text")), at_100(study.start(RANDOM)))),
    ]  # fmt: skip


def samples(study: PrefixTuning) -> list[Table]:
    """What both wrote from the first tables of the test split (the paper's table 6)."""
    task = study.task(Data("webnlg"))
    count = study.usual.get("test_rows")
    inputs = (task if count is None else task.subset("test", count, 0)).rows("test")
    rows = []
    ways = {"prefix": study.prefix(), "fine-tuning": study.way("fine-tuning")}
    written = {n: study.runs(study.writer, Data("webnlg"), w)[0].texts for n, w in ways.items()}
    for number, row in enumerate(inputs[: min(map(len, written.values()))]):
        rows.append(["table", row["source"]])
        rows += [[name, texts[number]] for name, texts in written.items()]
        rows.append(["reference", task.references(row)[0]])
    return [Table("samples", "What was written", ["", "text"], rows)]
