"""Many requests, each with its own prompt, on one frozen model: rows join and leave every step.

What is written for a request depends on nothing but the request: not on who else is served, nor on
when it came. Text of one never reaches another's answer, error or log.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Generator, Tensor
from transformers import (
    LogitsProcessorList,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from promptgraft.errors import PromptgraftError
from promptgraft.library import Library
from promptgraft.models import Encoded, FrozenModel, OnePrompt
from promptgraft.models.slots import Slots
from promptgraft.serving.prompts import Prompts
from promptgraft.serving.request import FullError, Piece, Reason, Request, Ticket, Token
from promptgraft.serving.streaming import TextStream

log = logging.getLogger(__name__)


@dataclass(eq=False)
class _Row:
    """A request that is being written."""

    ticket: Ticket
    stream: TextStream
    draw: Generator
    pending: list[Token] = field(default_factory=list)  # not yet told, as their text is held back


class Engine:
    """Continuous batching of a causal model with the prompts of a library.

    Use it from any threads: `submit` and read the ticket; one thread of its own (`start`) or the
    caller runs `step`.
    """

    def __init__(
        self,
        model: FrozenModel,
        library: Library,
        rows: int = 64,
        waiting: int = 1024,
        prompt_bytes: int = 2**30,
        read_at_once: int = 2048,
    ) -> None:
        """rows          written on together, at most
        waiting       requests in the queue, at most
        prompt_bytes  memory for prompts in use
        read_at_once  tokens of joining rows read between two steps, about; long ones must not
                      hold up those that are being written
        """
        self.model, self.prompts = model, Prompts(model, library, prompt_bytes)
        self.rows, self.most_waiting, self.read_at_once = rows, waiting, read_at_once
        self.slots = Slots(model)
        self.queue: deque[tuple[Ticket, Encoded, OnePrompt]] = deque()
        self.active: list[_Row] = []
        self.logits = torch.zeros(0, 1)
        self.lock = threading.Lock()  # whoever runs the model holds it
        self._work = threading.Event()
        self._thread: threading.Thread | None = None
        self._closing = False

    def submit(
        self, request: Request, deliver: Callable[[Piece | Exception], None] | None = None
    ) -> Ticket:
        """Queue a request; `deliver` as for `Ticket`.

        Raises FullError if too many wait, and what is wrong with the request: PromptgraftError for
        a prompt that is not there, DataError for a row that does not fit its template.
        """
        if self._closing:
            raise FullError("The engine is shutting down.")
        if len(self.queue) >= self.most_waiting:
            raise FullError(f"{len(self.queue)} requests are waiting already; try again later.")
        with self.lock:
            row, prompt = self._encode(request)
        ticket = Ticket(request, len(row), deliver)
        self.queue.append((ticket, row, prompt))
        self._work.set()
        return ticket

    def _encode(self, request: Request) -> tuple[Encoded, OnePrompt]:
        rows = [request.source] if isinstance(request.source, str) else [dict(request.source)]
        reserve = request.max_new_tokens
        if request.prompt is None:
            (row,) = self.model.encode(rows, reserve=reserve)
            return row, None
        loaded = self.prompts.get(request.prompt)
        (row,) = self.model.encode(rows, loaded.value, reserve=reserve)
        return self.prompts.ready(loaded, row)

    def step(self) -> bool:
        """Let rows join, write one token of each, let the finished ones go; False if all is done.

        An error of one row's is told to its ticket alone.
        """
        with self.lock:
            self._drop([n for n, row in enumerate(self.active) if row.ticket.cancelled])
            self._join()
            if not self.active:
                return bool(self.queue)
            tokens = self._choose()
            self._drop([n for n, row in enumerate(self.active) if self._write(row, tokens[n], n)])
            if self.active:
                chosen = torch.tensor([row.stream.ids[-1] for row in self.active])
                self.logits = self.slots.step(chosen.to(self.model.device))
        return bool(self.active or self.queue)

    def run_until_done(self) -> None:
        """Step until nothing is left to do."""
        while self.step():
            pass

    def start(self) -> None:
        """Serve from a thread of its own until `close`."""
        self._thread = threading.Thread(target=self._serve, name="promptgraft-engine", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Take no more requests, finish those that are there, and stop."""
        self._closing = True
        self._work.set()
        if self._thread is not None:
            self._thread.join()

    def _serve(self) -> None:
        while not (self._closing and not self.queue and not self.active):
            if not self.step():
                self._work.wait(timeout=1.0)
                self._work.clear()

    def _join(self) -> None:
        """Read waiting rows, as many as there is room for."""
        joining: list[tuple[Ticket, Encoded, OnePrompt]] = []
        tokens = 0
        while self.queue and len(self.active) + len(joining) < self.rows:
            if joining and tokens + len(self.queue[0][1]) > self.read_at_once:
                break
            ticket, row, prompt = self.queue.popleft()
            if ticket.cancelled:
                ticket.put(Piece("", (), "cancelled"))
                continue
            tokens += len(row)
            joining.append((ticket, row, prompt))
        for group in _alike(joining):
            self._admit(group)

    def _admit(self, group: Sequence[tuple[Ticket, Encoded, OnePrompt]]) -> None:
        tickets = [ticket for ticket, _, _ in group]
        reserve = max(ticket.request.max_new_tokens for ticket in tickets)
        try:
            logits = self.slots.admit(
                [row for _, row, _ in group], [prompt for _, _, prompt in group], reserve
            )
        except PromptgraftError as error:
            if len(group) > 1:  # one by one, so that the others do not suffer
                for one in group:
                    self._admit([one])
                return
            tickets[0].put(error)
            return
        self.logits = torch.cat([self.logits, logits]) if self.active else logits
        for ticket in tickets:
            draw = Generator(device="cpu").manual_seed(ticket.request.seed)
            stream = TextStream(self.model.tokenizer, ticket.request.stop)
            self.active.append(_Row(ticket, stream, draw))

    def _choose(self) -> list[int]:
        """The next token of every row."""
        chosen: list[int] = self.logits.argmax(-1).tolist()
        for number, row in enumerate(self.active):
            if row.ticket.request.temperature > 0:
                chosen[number] = _draw(self.logits[number].cpu(), row)
        return chosen

    def _write(self, row: _Row, token: int, number: int) -> bool:
        """Append a token to a row's text; whether that was the last one."""
        request = row.ticket.request
        row.ticket.written += 1
        if token in self.model.ends:
            return self._finish(row, "stop")
        text = row.stream.push(token)
        if request.logprobs is not None:
            row.pending.append(self._token(token, self.logits[number], request.logprobs))
        if row.stream.stopped:
            row.ticket.put(Piece(text, row.pending, "stop"))
            return True
        if len(row.stream.ids) == request.max_new_tokens:
            return self._finish(row, "length", text)
        if text:
            row.ticket.put(Piece(text, row.pending))
            row.pending = []
        return False

    def _finish(self, row: _Row, reason: Reason, text: str = "") -> bool:
        row.ticket.put(Piece(text + row.stream.finish(), row.pending, reason))
        return True

    def _token(self, token: int, logits: Tensor, count: int) -> Token:
        chances = logits.log_softmax(-1)
        best = chances.topk(count)
        decode = self.model.tokenizer.decode
        likeliest = {
            str(decode([other])): chance
            for other, chance in zip(best.indices.tolist(), best.values.tolist(), strict=True)
        }
        return Token(str(decode([token])), chances[token].item(), likeliest)

    def _drop(self, numbers: Sequence[int]) -> None:
        """Let rows go; the last one takes the place of each."""
        for number in sorted(numbers, reverse=True):
            row = self.active[number]
            if row.ticket.cancelled:
                row.ticket.put(Piece("", (), "cancelled"))
            self.slots.drop(number)
            self.logits[number] = self.logits[-1]
            self.logits = self.logits[:-1]
            self.active[number] = self.active[-1]
            self.active.pop()


def _alike(
    joining: Sequence[tuple[Ticket, Encoded, OnePrompt]],
) -> list[list[tuple[Ticket, Encoded, OnePrompt]]]:
    """Rows that may be read together: those of like length, so that little is padding."""
    groups: dict[int, list[tuple[Ticket, Encoded, OnePrompt]]] = {}
    for one in joining:
        groups.setdefault(len(one[1]).bit_length(), []).append(one)
    return list(groups.values())


def _draw(logits: Tensor, row: _Row) -> int:
    """A token by chance, as transformers' sampling has it; the row's own generator decides."""
    request = row.ticket.request
    warpers = LogitsProcessorList([TemperatureLogitsWarper(request.temperature)])
    if request.top_k is not None:
        warpers.append(TopKLogitsWarper(request.top_k))
    if request.top_p < 1.0:
        warpers.append(TopPLogitsWarper(request.top_p))
    written = torch.tensor([row.stream.ids or [0]])
    scores = warpers(written, logits[None])  # type: ignore[arg-type]
    return int(torch.multinomial(scores.softmax(-1), 1, generator=row.draw))
