"""Table 6 of Zero-Shot Continuous Prompt Transfer: prompts of classification tasks, moved.

The answer is chosen among the label words alone. As the authors told users of their code, who could
not reproduce the table with its settings for facts, all shared words are anchors and two of them
are kept for each virtual token. What needs labels is done on the source; the manual wording is the
task's first.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from promptgraft.api import TuneConfig
from promptgraft.prompts import Prompt
from promptgraft.studies.intervals import mean
from promptgraft.studies.memo import Measurement
from promptgraft.studies.moves import Moves, named
from promptgraft.studies.tables import Table
from promptgraft.studies.tunings import kept
from promptgraft.tasks import Task
from promptgraft.tasks import load as load_task
from promptgraft.training import evaluate
from promptgraft.transfer.across_models import Method, Relative, transfer

TASKS = ("sst2", "dbpedia14")
METHOD = Relative(top_k=2)
LENGTH, STEPS, TEST_ROWS = 5, 400, 1000


@dataclass(frozen=True)
class Classes:
    """What can be measured of one of the tasks with the models of the study of facts: accuracies,
    for the study's memory."""

    moves: Moves
    task: str

    def tuned(self, model: str, seed: int) -> Measurement:
        """Of a model with its own prompt."""
        return self._accuracy(["tuned", model, seed], model, lambda: self.prompt(model, seed))

    def manual(self, model: str) -> Measurement:
        """Of a model with the task's first wording."""
        return self._accuracy(["manual", model], model, lambda: None, manual=True)

    def bare(self, model: str) -> Measurement:
        """Of a model without a prompt."""
        return self._accuracy(["bare", model], model, lambda: None)

    def moved(self, source: str, target: str, seed: int, method: Method = METHOD) -> Measurement:
        """Of a model with another one's prompt."""

        def move() -> Prompt:
            models = self.moves.model(source), self.moves.model(target)
            template = self.load().template(models[1].family)
            return transfer([self.prompt(source, seed)], models[:1], models[1], method, template)

        key = ["moved", source, target, *named(method), seed]
        return self._accuracy(key, target, move)

    def load(self) -> Task:
        """The task with as many test rows as are asked."""
        return load_task(self.task).subset("test", TEST_ROWS, seed=0)

    def prompt(self, model: str, seed: int) -> Prompt:
        """A prompt from the study's library, or tuned now, by one process alone."""
        library, own = self.moves.library, ["prompt", self.task, model, seed]
        with TemporaryDirectory() as scratch, self.moves.memo.alone(own):
            config = TuneConfig(
                model=model,
                task=self.task,
                length=LENGTH,
                steps=STEPS,
                seed=seed,
                tag=f"{LENGTH}-seed{seed}",
                out=Path(scratch) / "run",
                test_rows=1,  # it is scored here
            )
            return library.get(kept(library, config, self.moves.say, self.moves.model(model)))

    def _accuracy(
        self, key: list[object], name: str, make: Callable[[], Prompt | None], manual: bool = False
    ) -> Measurement:
        def measure() -> float:
            self.moves.say(f"{self.task}: {' '.join(map(str, key))}")
            prompt, task, model = make(), self.load(), self.moves.model(name)
            template = task.manual[model.family][0] if manual else task.template(model.family)
            found = evaluate(model, task, task.rows("test"), prompt, template, whole=False)
            return found.scores["accuracy"]

        return ["classes", self.task, TEST_ROWS, STEPS, *key], measure


def table_6(moves: Moves) -> Table:
    """By method and source; a column for each task and target, means over seeds."""
    seeds = range(moves.seeds)

    def cells(asked: Callable[[Classes, str], Sequence[Measurement]], skip: str = "") -> list[str]:
        found = []
        for target in moves.names:
            for task in TASKS:
                own = [] if target == skip else moves.memo.all(asked(Classes(moves, task), target))
                found.append(str(mean([[one] for one in own])) if own else "")
        return found

    rows = [
        ["tuned", "", *cells(lambda task, target: [task.tuned(target, s) for s in seeds])],
        ["manual", "", *cells(lambda task, target: [task.manual(target)])],
    ]
    for source in moves.names:

        def sent(task: Classes, target: str, source: str = source) -> list[Measurement]:
            return [task.moved(source, target, seed) for seed in seeds]

        rows.append(["relative", source, *cells(sent, skip=source)])
    columns = [f"{task}, {target}" for target in moves.names for task in TASKS]
    title = "Table 6: classification, accuracy on test rows with intervals over seeds"
    return Table("6-classification", title, ["method", "source", *columns], rows)
