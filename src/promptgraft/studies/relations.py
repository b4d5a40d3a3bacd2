"""The 41 relations of LAMA, probed as OptiPrompt does (Zhong et al. 2021; PTfer, section 3.1).

A relation's prompt stands between subject and object: "[X] [V]1 .. [V]5 [Y] .". What is predicted
is one word of a vocabulary that all models of a study know as single tokens.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

import promptgraft
from promptgraft import modules, tasks
from promptgraft.api import SharedConfig, tune_shared
from promptgraft.api.names import library_name, name_for
from promptgraft.errors import DataError
from promptgraft.library import Library
from promptgraft.models import FrozenModel
from promptgraft.prompts import Prompt, PromptCard, SoftPrompt, now
from promptgraft.tasks import Row, Task
from promptgraft.tasks.task import Split
from promptgraft.training import Objective, Report, Run, TrainingConfig, encode, train_many

RELATIONS = tuple(
    f"P{number}"
    for number in (
        *(17, 19, 20, 27, 30, 31, 36, 37, 39, 47, 101, 103, 106, 108, 127, 131, 136, 138, 140),
        *(159, 176, 178, 190, 264, 276, 279, 361, 364, 407, 413, 449, 463, 495, 527, 530, 740),
        *(937, 1001, 1303, 1376, 1412),
    )
)
TEMPLATES = {"masked": "{sub_label} {prompt} {mask} .", "causal": "{sub_label} {prompt}"}
BARE = {family: template.replace(" {prompt}", "") for family, template in TEMPLATES.items()}
LENGTH = 5
SETTINGS = TrainingConfig(steps=400, batch_size=16, lr=0.03, warmup=0.1, evaluate_every=100)
SHARED_STEPS = 200  # with the rows of all models in each

PLAIN = "plain"
TRAININGS: Mapping[str, Mapping[str, float]] = {  # ways to train sources, see training.robust
    PLAIN: {},
    **{f"noise-{size}": {"noise": size} for size in (0.5, 1.0, 2.0, 4.0)},
    **{f"hull-{weight}": {"hull": weight} for weight in (0.1, 1.0)},
}
CHOSEN = "noise-2.0"  # the best of these on validation facts


@dataclass(frozen=True)
class Relation:
    """One relation: its name (P19), its rows by split, and LAMA's manual wording."""

    name: str
    rows: Mapping[str, Sequence[Row]]
    manual: str

    def wording(self, family: str) -> str:
        """The manual template for a family; a causal model is asked up to the object."""
        return self.manual if family == "masked" else self.manual.partition(" {mask}")[0]


@dataclass(frozen=True)
class Facts:
    """Relations, and the words that may be answered."""

    relations: Sequence[Relation]
    words: Sequence[str]

    def __getitem__(self, name: str) -> Relation:
        return next(relation for relation in self.relations if relation.name == name)


def facts(
    models: Sequence[FrozenModel],
    names: Sequence[str] = RELATIONS,
    most: Mapping[str, int] | None = None,
) -> Facts:
    """Facts whose object every model knows as one token, each once.

    most   rows of a split, at most, such as {"test": 250}; drawn by a fixed seed

    Raises DataError if LAMA is not at hand, or no fact is left of a relation.
    """
    loaded = {name: tasks.load(f"lama/{name}") for name in names}
    words = _common_words(models, list(loaded.values()))
    known = set(words)
    relations = []
    for name, task in loaded.items():
        rows = {}
        for split in task.splits:
            once = {
                (row["sub_label"], row["obj_label"]): row
                for row in task.rows(split)
                if row["obj_label"] in known
            }
            kept = list(once.values())
            order = torch.randperm(len(kept), generator=torch.Generator().manual_seed(0)).tolist()
            rows[split] = [kept[i] for i in order[: (most or {}).get(split, len(kept))]]
        if not all(rows.get(split) for split in ("train", "validation", "test")):
            raise DataError(f"{name} has no facts whose object is one token for all the models.")
        relations.append(Relation(name, rows, task.manual["masked"][0]))
    return Facts(relations, words)


def _common_words(models: Sequence[FrozenModel], loaded: Sequence[Task]) -> list[str]:
    """LAMA's vocabulary, as far as all models know its words as one token."""
    words = sorted({word for task in loaded for word in task.vocabulary or ()})
    for model in models:
        known = model.single_tokens(words)
        words = [word for word in words if word in known]
    return words


def tune(
    model: FrozenModel,
    chosen: Facts,
    seed: int,
    library: Library,
    length: int = LENGTH,
    settings: TrainingConfig | None = None,
    report: Callable[[Report], None] | None = None,
    training: str = PLAIN,
    starts: Mapping[str, torch.Tensor] | None = None,
    tag: str | None = None,
) -> dict[str, SoftPrompt]:
    """A prompt for each relation, from the library or tuned now, all in shared passes.

    training  a name in `TRAININGS`
    starts    what they start from, by relation [P, D]; None: random numbers at the scale of the
              model's embeddings
    tag       for the names in the library, where facts or starts are not the usual

    The state that does best on validation facts is kept.
    """
    config = (settings or SETTINGS).model_copy(update={"seed": seed, **TRAININGS[training]})
    layout, template = modules.layout("soft-prompt", length, model), TEMPLATES[model.family]
    cards = {
        relation.name: PromptCard(
            kind="soft-prompt",
            length=length,
            base=model.reference,
            task=f"lama-{relation.name}",
            template=template,
            method="soft-prompt",
            hyperparameters=config.model_dump(mode="json"),
            seed=seed,
            library_version=promptgraft.__version__,
            created=now(),
        )
        for relation in chosen.relations
    }
    tag = tag or f"{length}-seed{seed}" + ("" if training == PLAIN else f"-{training}")
    names = {name: library_name(card, tag) for name, card in cards.items()}
    missing = {name: chosen[name] for name, kept in names.items() if kept not in library}
    runs = {}
    for name, relation in missing.items():
        generator = torch.Generator().manual_seed(seed)
        start = modules.INITIALISERS["random"]()(model, layout, generator)
        if starts is not None:
            start = {"input": starts[name]}
        module = modules.build("direct", layout, start)
        task = tasks.load(f"lama/{name}")
        encoded = encode(model, task, relation.rows["train"], module(), template)
        alone = Facts([relation], chosen.words)

        def score(facts: Facts = alone, module: modules.PromptModule = module) -> float:
            with torch.no_grad():
                prompt = module()["input"]
            (found,) = accuracy(model, facts, dict.fromkeys([facts.relations[0].name], prompt),
                                "validation").values()  # fmt: skip
            return found

        runs[name] = Run(module, encoded, score)
    if runs:
        objective = Objective(model, tasks.load(f"lama/{next(iter(runs))}"))
        train_many(list(runs.values()), objective, config, report)
    library.add_all((run.module.freeze(cards[name]), names[name]) for name, run in runs.items())
    found = {name: library.get(kept) for name, kept in names.items()}
    return {name: prompt for name, prompt in found.items() if isinstance(prompt, SoftPrompt)}


def shared(
    models: Mapping[str, FrozenModel], chosen: Facts, seed: int, library: Library
) -> dict[str, dict[str, SoftPrompt]]:
    """A prompt for each relation that some models share: by model, then by relation.

    From the library, or tuned now; the state that does best on validation facts is kept.
    """
    tag = f"{LENGTH}-seed{seed}-shared-by-{'-'.join(models)}".replace("/", "-")
    found: dict[str, dict[str, SoftPrompt]] = {model: {} for model in models}
    for relation in chosen.relations:
        task = tasks.load(f"lama/{relation.name}")
        names = {model: name_for(task.name, model, tag) for model in models}
        if not all(name in library for name in names.values()):
            splits = {name: Split.of(relation.rows[name]) for name in ("train", "validation")}
            task = replace(task, splits=splits, templates=TEMPLATES, vocabulary=tuple(chosen.words))
            with TemporaryDirectory() as scratch:
                config = SharedConfig(
                    model="+".join(models),
                    task=f"lama/{relation.name}",
                    length=LENGTH,
                    steps=SHARED_STEPS,
                    batch_size=SETTINGS.batch_size * len(models),
                    evaluate_every=SHARED_STEPS // 2,
                    warmup=SETTINGS.warmup,
                    seed=seed,
                    tag=tag,
                    out=Path(scratch) / "run",
                )
                names = dict(tune_shared(config, library=library, models=models, task=task).names)
        for model, name in names.items():
            prompt = library.get(name)
            assert isinstance(prompt, SoftPrompt)
            found[model][relation.name] = prompt
    return found


def answered(
    model: FrozenModel, chosen: Facts, prompts: Mapping[str, torch.Tensor], rows: int
) -> Facts:
    """The facts with a model's answers for their objects, but for test facts.

    rows  training facts of a relation that are answered, at most
    """
    relations = []
    for relation in chosen.relations:
        split_rows = dict(relation.rows)
        for split in ("train", "validation"):
            asked = relation.rows[split][:rows]
            answers = _answers(model, asked, prompts[relation.name], TEMPLATES[model.family],
                               chosen.words)  # fmt: skip
            split_rows[split] = [
                {**row, "obj_label": answer} for row, answer in zip(asked, answers, strict=True)
            ]
        relations.append(replace(relation, rows=split_rows))
    return Facts(relations, chosen.words)


def _answers(
    model: FrozenModel,
    rows: Sequence[Row],
    prompt: Prompt | torch.Tensor | None,
    template: str,
    words: Sequence[str],
) -> list[str]:
    if model.family == "masked":
        return model.fill(rows, prompt, template, words, batch_size=128)
    return model.choose(rows, words, prompt, template, batch_size=128)


def accuracy(
    model: FrozenModel,
    chosen: Facts,
    prompts: Mapping[str, Prompt | torch.Tensor | None],
    split: str = "test",
    manual: bool = False,
) -> dict[str, float]:
    """Per cent of a split's facts whose object is the likeliest word, for each relation.

    prompts  by relation; None: the bare model, or with `manual` LAMA's wording
    """
    found = {}
    for name, prompt in prompts.items():
        relation = chosen[name]
        rows = relation.rows[split]
        template = TEMPLATES[model.family]
        if prompt is None:
            template = relation.wording(model.family) if manual else BARE[model.family]
        answers = _answers(model, rows, prompt, template, chosen.words)
        right = sum(
            answer.lower() == row["obj_label"].lower()  # some models write all in lower case
            for answer, row in zip(answers, rows, strict=True)
        )
        found[name] = 100 * right / len(rows)
    return found
