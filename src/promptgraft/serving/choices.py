"""Classification and mask filling: one pass each, whatever waits goes together."""

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import torch

from promptgraft.errors import PromptgraftError
from promptgraft.models import FrozenModel
from promptgraft.serving.problems import FullError, overflow, told
from promptgraft.serving.prompts import Prompts
from promptgraft.serving.turns import Turns

TOGETHER = 64  # rows of one pass

Row = Mapping[str, Any] | str


@dataclass(frozen=True)
class Choice:
    """The choices' chances, by choice, best first."""

    chances: Mapping[str, float]

    @property
    def best(self) -> str:
        return next(iter(self.chances))


@dataclass(eq=False)
class _Asked:
    row: Row
    prompt: str | None
    choices: tuple[str, ...]
    answer: "Future[Choice]" = field(default_factory=Future)


class Chooser:
    """Answers with one of given words, in a thread of its own; shares model, prompts and lock with
    an engine, if there is one."""

    def __init__(
        self, model: FrozenModel, prompts: Prompts, lock: Turns | None = None, waiting: int = 1024
    ) -> None:
        """waiting  rows in the queue, at most"""
        self.model, self.prompts, self.most_waiting = model, prompts, waiting
        self.lock = lock or Turns()
        self.queue: deque[_Asked] = deque()
        self._joining = threading.Lock()
        self._worker = ThreadPoolExecutor(1, "promptgraft-chooser")

    def submit(
        self, rows: Sequence[Row], prompt: str | None, choices: Sequence[str] = ()
    ) -> "list[Future[Choice]]":
        """Queue rows; whatever waits is answered in the same passes, but for what was cancelled.

        choices  default: the label words on the prompt's card

        Raises FullError if too many rows wait, and PromptgraftError if there are no choices or no
        such prompt. What is wrong with a row is told by its future.
        """
        words = tuple(choices) or self._label_words(prompt)
        asked = [_Asked(row, prompt, words) for row in rows]
        with self._joining:
            if len(self.queue) + len(asked) > self.most_waiting:
                self.queue = deque(one for one in self.queue if not one.answer.cancelled())
            if len(self.queue) + len(asked) > self.most_waiting:
                raise FullError(f"{len(self.queue)} rows are waiting already; try again later.")
            self.queue.extend(asked)
        self._worker.submit(self._work)
        return [one.answer for one in asked]

    def _label_words(self, prompt: str | None) -> tuple[str, ...]:
        card = self.prompts.library.show(prompt).card if prompt is not None else None
        if card is None or not card.verbalizer:
            raise PromptgraftError(
                "There are no choices: the prompt has no label words; name them."
            )
        return tuple(card.verbalizer.values())

    def _work(self) -> None:
        """Answer those that wait, rows with the same choices together."""
        while self.queue:
            with self.lock:
                with self._joining:
                    together = [self.queue.popleft() for _ in range(min(TOGETHER, len(self.queue)))]
                groups: dict[tuple[str, ...], list[_Asked]] = {}
                for one in together:
                    if one.answer.set_running_or_notify_cancel():
                        groups.setdefault(one.choices, []).append(one)
                for group in groups.values():
                    self._answer(group)

    def _answer(self, group: Sequence[_Asked]) -> None:
        try:
            found = self._choices(group)
        except Exception as error:
            if len(group) > 1:  # one by one, so that the others do not suffer
                for one in group:
                    self._answer([one])
            else:
                group[0].answer.set_exception(told(error))
            return
        for one, choice in zip(group, found, strict=True):
            one.answer.set_result(choice)

    def _choices(self, group: Sequence[_Asked]) -> list[Choice]:
        prompts = [self.prompts.get(one.prompt).runs if one.prompt else None for one in group]
        rows = [one.row for one in group]
        chances = self.model.choice_scores(rows, group[0].choices, prompts).softmax(1)
        found = []
        for one, row in zip(group, chances, strict=True):
            if not torch.isfinite(row).all():
                raise overflow(one.prompt, self.model.name)
            pairs = zip(one.choices, row.tolist(), strict=True)
            found.append(Choice(dict(sorted(pairs, key=lambda pair: -pair[1]))))
        return found
