"""Classification and mask filling: one pass each, whatever waits goes together."""

import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
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
    """Answers with one of given words, from any threads; shares model, prompts and lock with an
    engine, if there is one."""

    def __init__(
        self, model: FrozenModel, prompts: Prompts, lock: Turns | None = None, waiting: int = 1024
    ) -> None:
        """waiting  rows in the queue, at most"""
        self.model, self.prompts, self.most_waiting = model, prompts, waiting
        self.lock = lock or Turns()
        self.queue: deque[_Asked] = deque()
        self._joining = threading.Lock()

    def answer(
        self,
        rows: Sequence[Row],
        prompt: str | None,
        choices: Sequence[str] = (),
        seconds: float | None = None,
    ) -> list[Choice]:
        """Choose for each row; who asks meanwhile is answered in the same passes.

        choices  default: the label words on the prompt's card
        seconds  until it must be done

        Raises FullError if too many rows wait, TimeoutError, and PromptgraftError if there are no
        choices or a row or prompt is wrong.
        """
        until = None if seconds is None else time.monotonic() + seconds
        asked = self._queue(rows, prompt, tuple(choices))
        try:
            while self.queue and not all(one.answer.done() for one in asked):
                if until is not None and time.monotonic() >= until:
                    raise TimeoutError
                self._work()
            left = None if until is None else max(0.0, until - time.monotonic())
            return [one.answer.result(left) for one in asked]
        finally:
            for one in asked:
                one.answer.cancel()  # those that are not answered, if one went wrong

    def _queue(
        self, rows: Sequence[Row], prompt: str | None, words: tuple[str, ...]
    ) -> list[_Asked]:
        if not words and prompt is not None:
            with self.lock:
                words = tuple((self.prompts.get(prompt).runs.card.verbalizer or {}).values())
        if not words:
            raise PromptgraftError(
                "There are no choices: the prompt has no label words; name them."
            )
        asked = [_Asked(row, prompt, words) for row in rows]
        with self._joining:
            if len(self.queue) + len(asked) > self.most_waiting:
                raise FullError(f"{len(self.queue)} rows are waiting already; try again later.")
            self.queue.extend(asked)
        return asked

    def _work(self) -> None:
        """Answer some of those that wait, rows with the same choices together."""
        with self.lock:
            groups: dict[tuple[str, ...], list[_Asked]] = {}
            for _ in range(min(TOGETHER, len(self.queue))):
                one = self.queue.popleft()
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
        rows = [{"source": o.row} if isinstance(o.row, str) else dict(o.row) for o in group]
        chances = self.model.choice_scores(rows, group[0].choices, prompts).softmax(1)
        found = []
        for one, row in zip(group, chances, strict=True):
            if not torch.isfinite(row).all():
                raise overflow(one.prompt, self.model.name)
            pairs = zip(one.choices, row.tolist(), strict=True)
            found.append(Choice(dict(sorted(pairs, key=lambda pair: -pair[1]))))
        return found
