"""Prompts of LAMA's relations, tuned on some models and moved between them, each measured once."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from promptgraft.library import Library
from promptgraft.models import FrozenModel
from promptgraft.studies import relations
from promptgraft.studies.memo import Memo
from promptgraft.studies.relations import PLAIN, RELATIONS, Facts
from promptgraft.transfer.across_models import Method
from promptgraft.transfer.across_models.method import METHODS, Sent, Space
from promptgraft.transfer.across_models.move import move
from promptgraft.transfer.across_models.relative import (
    matching_loss,
    relative_representation,
    relatives,
    several,
)

TEST_ROWS, VALIDATION_ROWS = 250, 100
TAUGHT_ROWS, TEACHING_STEPS = 200, 200
RANDOM = "random numbers"


@dataclass(frozen=True)
class Moved:
    """What a transfer came to: accuracy in per cent and matching loss, by relation."""

    accuracy: Mapping[str, float]
    loss: Mapping[str, float]


def named(method: Method) -> list[object]:
    """A method's name and settings, as keys have them."""
    return [METHODS.name_of(type(method)), method.model_dump(mode="json", exclude_defaults=True)]


class Moves:
    """Measures transfers between some models, each once; what was measured is kept in a folder."""

    def __init__(
        self,
        models: Sequence[str],
        folder: Path,
        seeds: int = 3,
        names: Sequence[str] = RELATIONS,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.names, self.relations, self.seeds, self.say = list(models), list(names), seeds, say
        self.memo = Memo(folder / "measured.jsonl")
        self.library = Library(folder / "library")
        self._loaded: dict[str, FrozenModel] = {}
        self._spaces: dict[tuple[str, tuple[str, ...]], Space] = {}

    def model(self, name: str) -> FrozenModel:
        """A model of the study, loaded once."""
        if name not in self._loaded:
            self._loaded[name] = FrozenModel.load(name)
        return self._loaded[name]

    @cached_property
    def facts(self) -> Facts:
        """What is asked, the same of every model."""
        most = {"test": TEST_ROWS, "validation": VALIDATION_ROWS}
        return relations.facts([self.model(name) for name in self.names], self.relations, most)

    def prompts(
        self, name: str, seed: int, length: int, training: str = PLAIN
    ) -> dict[str, Tensor]:
        """The tuned prompts [P, D] of a model, by relation."""
        self.say(f"prompts of {name}, seed {seed}, length {length}, {training}")
        found = relations.tune(
            self.model(name), self.facts, seed, self.library, length, training=training
        )
        return {relation: prompt.vectors.cpu().float() for relation, prompt in found.items()}

    def tuned(
        self,
        name: str,
        seed: int,
        length: int = relations.LENGTH,
        split: str = "test",
        training: str = PLAIN,
    ) -> dict[str, float]:
        """Accuracy of a model with its own prompts."""

        def measure() -> dict[str, float]:
            prompts = self.prompts(name, seed, length, training)
            return relations.accuracy(self.model(name), self.facts, prompts, split)

        return self._measured(["tuned", name, seed, length, split, training], measure)

    def manual(self, name: str) -> dict[str, float]:
        """Accuracy of a model with LAMA's wordings."""

        def measure() -> dict[str, float]:
            bare = dict.fromkeys(self.relations)
            return relations.accuracy(self.model(name), self.facts, bare, manual=True)

        return self._measured(["manual", name], measure)

    def bare(self, name: str, split: str = "test") -> dict[str, float]:
        """Accuracy of a model without a prompt, subject and object alone."""

        def measure() -> dict[str, float]:
            none = dict.fromkeys(self.relations)
            return relations.accuracy(self.model(name), self.facts, none, split)

        return self._measured(["bare", name, split], measure)

    def moved(
        self,
        sources: Sequence[str],
        target: str,
        method: Method,
        seed: int,
        length: int = relations.LENGTH,
        split: str = "test",
        training: str = PLAIN,
    ) -> Moved:
        """Accuracy of a model with prompts that were moved to it.

        sources   one that is named again sends the prompts of its next seed as well
        training  how they were tuned: a name in `relations.TRAININGS`
        """
        kind, settings = named(method)

        def measure() -> dict[str, dict[str, float]]:
            self.say(f"{' + '.join(sources)} to {target}, {kind} {settings or ''}, seed {seed}")
            prompts, losses = self._move(sources, target, method, seed, length, training)
            found = relations.accuracy(self.model(target), self.facts, prompts, split)
            return {"accuracy": found, "loss": losses}

        key = ["moved", list(sources), target, kind, settings, seed, length, split, training]
        found = self.memo([*key, self.relations], measure)
        return Moved(found["accuracy"], found["loss"])

    def shared(
        self, sources: Sequence[str], target: str, method: Method, seed: int, split: str = "test"
    ) -> dict[str, float]:
        """Accuracy of a model with the moved prompts of models that share them."""

        def measure() -> dict[str, float]:
            self.say(f"shared by {' + '.join(sources)}, to {target}, {named(method)}, seed {seed}")
            given = [self._shared(sources, seed)[name] for name in sources]
            prompts, _ = self._carry(sources, given, target, method, relations.LENGTH)
            return relations.accuracy(self.model(target), self.facts, prompts, split)

        key = ["shared", list(sources), target, *named(method), seed, split]
        return self._measured(key, measure)

    def sharing(
        self, sources: Sequence[str], name: str, seed: int, split: str = "test"
    ) -> dict[str, float]:
        """Accuracy of one of the models that share prompts."""

        def measure() -> dict[str, float]:
            prompts = self._shared(sources, seed)[name]
            return relations.accuracy(self.model(name), self.facts, prompts, split)

        return self._measured(["sharing", list(sources), name, seed, split], measure)

    def taught(
        self, source: str, target: str, method: Method | None, seed: int, split: str = "test"
    ) -> dict[str, float]:
        """Accuracy of a model with prompts that learned the answers of a source's.

        method  how their starts were moved from the source; None: they start from random numbers
        """
        start = named(method) if method is not None else RANDOM
        words = re.findall(r"\w+", f"{relations.LENGTH} seed{seed} taught by {source} from {start}")

        def measure() -> dict[str, float]:
            self.say(f"{source} teaches {target}, from {start}, seed {seed}")
            own, length = self.prompts(source, seed, relations.LENGTH), relations.LENGTH
            facts = relations.answered(self.model(source), self.facts, own, TAUGHT_ROWS)
            starts = self._move([source], target, method, seed, length)[0] if method else None
            settings = relations.SETTINGS.model_copy(update={"steps": TEACHING_STEPS})
            prompts = relations.tune(self.model(target), facts, seed, self.library, length,
                                     settings, starts=starts, tag="-".join(words))  # fmt: skip
            return relations.accuracy(self.model(target), self.facts, prompts, split)

        return self._measured(["taught", source, target, start, seed, split], measure)

    def _shared(self, sources: Sequence[str], seed: int) -> dict[str, dict[str, Tensor]]:
        """The prompts [P, D] that models share, by model and relation."""
        models = {name: self.model(name) for name in sources}
        found = relations.shared(models, self.facts, seed, self.library)
        return {
            name: {relation: prompt.vectors.cpu().float() for relation, prompt in own.items()}
            for name, own in found.items()
        }

    def _measured(self, key: list[object], measure: Callable[[], object]) -> dict[str, float]:
        found: dict[str, float] = self.memo([*key, self.relations], measure)
        return found

    def _move(
        self,
        sources: Sequence[str],
        target: str,
        method: Method,
        seed: int,
        length: int,
        training: str = PLAIN,
    ) -> tuple[dict[str, Tensor], dict[str, float]]:
        """Move the prompts that were tuned on the sources."""
        seeds = [seed + list(sources[:at]).count(name) for at, name in enumerate(sources)]
        given = [
            self.prompts(name, own % self.seeds, length, training)
            for name, own in zip(sources, seeds, strict=True)
        ]
        return self._carry(sources, given, target, method, length)

    def _carry(
        self,
        sources: Sequence[str],
        given: Sequence[Mapping[str, Tensor]],
        target: str,
        method: Method,
        length: int,
    ) -> tuple[dict[str, Tensor], dict[str, float]]:
        """Move the prompts of all relations at once; each row goes its own way."""
        words = tuple(method.words([self.model(name) for name in (*sources, target)]))
        sent = [
            Sent(torch.cat([prompts[name] for name in self.relations]), self._space(source, words))
            for source, prompts in zip(sources, given, strict=True)
        ]
        place = self._space(target, words)
        scaled = torch.split(move(method, sent, place, length), length)
        wanted = several(relatives(sent))
        losses = [
            matching_loss(relative_representation(row, place.anchors), own).item()
            for row, own in zip(scaled, torch.split(wanted, length), strict=True)
        ]
        names = self.relations
        return dict(zip(names, scaled, strict=True)), dict(zip(names, losses, strict=True))

    def _space(self, name: str, words: tuple[str, ...]) -> Space:
        if (name, words) not in self._spaces:
            self._spaces[name, words] = Space.of(self.model(name), words)
        return self._spaces[name, words]
