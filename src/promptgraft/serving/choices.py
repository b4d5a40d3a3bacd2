"""Classification and mask filling: one pass each, whatever waits goes together."""

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import torch

from promptgraft.errors import PromptgraftError
from promptgraft.models import FrozenModel
from promptgraft.serving.prompts import Prompts
from promptgraft.serving.request import FullError

TOGETHER = 64  # rows of one pass


@dataclass(frozen=True)
class Choice:
    """The choices' chances, by choice, best first."""

    chances: Mapping[str, float]

    @property
    def best(self) -> str:
        return next(iter(self.chances))


@dataclass(eq=False)
class _Asked:
    row: Mapping[str, Any] | str
    prompt: str | None
    choices: tuple[str, ...]
    answer: "Future[Choice]" = field(default_factory=Future)


class Chooser:
    """Answers with one of given words; shares model, prompts and lock with an engine, if there is
    one."""

    def __init__(self, model: FrozenModel, prompts: Prompts, lock: "threading.Lock | None" = None,
                 waiting: int = 1024) -> None:  # fmt: skip
        self.model, self.prompts, self.most_waiting = model, prompts, waiting
        self.lock = lock or threading.Lock()
        self.queue: deque[_Asked] = deque()

    def ask(
        self, row: Mapping[str, Any] | str, prompt: str | None, choices: Sequence[str] | None = None
    ) -> "Future[Choice]":
        """Queue a row; some thread must call `answer_all`.

        choices  default: the label words on the prompt's card

        Raises FullError, and PromptgraftError if there are no choices.
        """
        if len(self.queue) >= self.most_waiting:
            raise FullError(f"{len(self.queue)} requests are waiting already; try again later.")
        words = tuple(choices or ())
        if not words and prompt is not None:
            with self.lock:
                words = tuple((self.prompts.get(prompt).value.card.verbalizer or {}).values())
        if not words:
            raise PromptgraftError(
                "There are no choices: the prompt has no label words; name them."
            )
        asked = _Asked(row, prompt, words)
        self.queue.append(asked)
        return asked.answer

    def answer_all(self) -> None:
        """Answer what waits, rows with the same choices together."""
        while self.queue:
            with self.lock:
                groups: dict[tuple[str, ...], list[_Asked]] = {}
                for _ in range(min(TOGETHER, len(self.queue))):
                    one = self.queue.popleft()
                    groups.setdefault(one.choices, []).append(one)
                for group in groups.values():
                    self._answer(group)

    def _answer(self, group: Sequence[_Asked]) -> None:
        try:
            prompts = [self.prompts.get(one.prompt).value if one.prompt else None for one in group]
            rows = [{"source": o.row} if isinstance(o.row, str) else dict(o.row) for o in group]
            scores = self.model.choice_scores(rows, group[0].choices, prompts)
        except PromptgraftError as error:
            if len(group) > 1:  # one by one, so that the others do not suffer
                for one in group:
                    self._answer([one])
            else:
                group[0].answer.set_exception(error)
            return
        for one, row in zip(group, torch.softmax(scores, dim=1), strict=True):
            pairs = zip(one.choices, row.tolist(), strict=True)
            one.answer.set_result(Choice(dict(sorted(pairs, key=lambda pair: -pair[1]))))
