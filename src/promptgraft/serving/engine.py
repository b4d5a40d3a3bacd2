"""Many requests, each with its own prompt, on one frozen model: rows join and leave every step.

What is written for a request depends on nothing but the request: not on who else is served, nor on
when it came. Text of one never reaches another's answer, error or log.
"""

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

from promptgraft.library import Library
from promptgraft.models import Encoded, FrozenModel, OnePrompt
from promptgraft.models.decoder_slots import DecoderSlots
from promptgraft.models.rules import Rules, rules_of
from promptgraft.models.slots import Slots
from promptgraft.serving.problems import FullError, overflow, told
from promptgraft.serving.prompts import Prompts
from promptgraft.serving.request import Piece, Reason, Request, Ticket, Token
from promptgraft.serving.streaming import TextStream
from promptgraft.serving.turns import Turns


@dataclass(frozen=True, eq=False)
class _Waiting:
    """A request that will be written."""

    ticket: Ticket
    row: Encoded
    prompt: OnePrompt
    rules: Rules | None


@dataclass(eq=False)
class _Row:
    """A request that is being written."""

    ticket: Ticket
    rules: Rules | None
    stream: TextStream
    draw: Generator
    pending: list[Token] = field(default_factory=list)  # not yet told, as their text is held back


class Engine:
    """Continuous batching of a causal or sequence-to-sequence model with a library's prompts.

    Use it from any threads: `submit` and read the ticket; one thread of its own (`start`) or the
    caller runs `step`. What the checkpoint's generation settings force, forbid or penalise holds
    as in `FrozenModel.generate`; whether tokens are drawn, and how, is the request's to say.
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
        self.slots = self._empty()
        self.queue: deque[_Waiting] = deque()
        self.active: list[_Row] = []
        self.logits = torch.zeros(0, 1)
        some = [model.encoder.pad]
        row = Encoded(some, decoder_tokens=some if model.family == "seq2seq" else [])
        self.ruled = rules_of(model, row, 1024) is not None
        self.lock = Turns()  # whoever runs the model holds it
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
        self._check_room()  # now too: when there is none, nothing should be read
        with self.lock:
            row, prompt, rules = self._encode(request)
            self._check_room()
            ticket = Ticket(request, len(row), deliver)
            self.queue.append(_Waiting(ticket, row, prompt, rules))
        self._work.set()
        return ticket

    def _check_room(self) -> None:
        if self._closing:
            raise FullError("The engine is shutting down.")
        if len(self.queue) >= self.most_waiting:
            raise FullError(f"{len(self.queue)} requests are waiting already; try again later.")

    def _empty(self) -> Slots | DecoderSlots:
        seq2seq = self.model.family == "seq2seq"
        return DecoderSlots(self.model) if seq2seq else Slots(self.model)

    def _encode(self, request: Request) -> tuple[Encoded, OnePrompt, Rules | None]:
        reserve = request.max_new_tokens
        loaded = self.prompts.get(request.prompt) if request.prompt is not None else None
        prompt = loaded.runs if loaded is not None else None
        (row,) = self.model.encode([request.source], prompt, reserve=reserve)
        rules = rules_of(self.model, row, reserve) if self.ruled else None
        if loaded is None:
            return row, None, rules
        return *self.prompts.ready(loaded, row), rules

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
        with self.lock:  # no request that was let in comes after the last look at the queue
            self._closing = True
        self._work.set()
        if self._thread is not None:
            self._thread.join()

    def _serve(self) -> None:
        while not (self._closing and not self.queue and not self.active):
            try:
                more = self.step()
            except Exception as error:
                more = self._give_up(error)
            if not more:
                self._work.wait(timeout=1.0)
                self._work.clear()

    def _give_up(self, error: Exception) -> bool:
        """After an error that is no request's: tell all that are being written, and go on with
        those that wait."""
        problem = told(error)
        with self.lock:
            for row in self.active:
                row.ticket.put(problem)
            self.active, self.slots = [], self._empty()
        return bool(self.queue)

    def _join(self) -> None:
        """Read waiting rows, as many as there is room for."""
        for one in self.queue:
            if one.ticket.cancelled:
                one.ticket.put(Piece("", (), "cancelled"))
        self.queue = deque(one for one in self.queue if not one.ticket.cancelled)
        joining: list[_Waiting] = []
        tokens = 0
        while self.queue and len(self.active) + len(joining) < self.rows:
            if joining and tokens + len(self.queue[0].row) > self.read_at_once:
                break
            joining.append(self.queue.popleft())
            tokens += len(joining[-1].row)
        for group in _alike(joining):
            self._admit(group)

    def _admit(self, group: Sequence[_Waiting]) -> None:
        reserve = max(one.ticket.request.max_new_tokens for one in group)
        try:
            logits = self.slots.admit(
                [one.row for one in group], [one.prompt for one in group], reserve
            )
        except Exception as error:
            if len(group) > 1:  # one by one, so that the others do not suffer
                for one in group:
                    self._admit([one])
            else:
                group[0].ticket.put(told(error))
            return
        self.logits = torch.cat([self.logits, logits]) if self.active else logits
        for one in group:
            draw = Generator(device="cpu").manual_seed(one.ticket.request.seed)
            stream = TextStream(self.model.tokenizer, one.ticket.request.stop)
            self.active.append(_Row(one.ticket, one.rules, stream, draw))

    def _choose(self) -> list[int | None]:
        """The next token of every row; None where the model says nothing that is a number."""
        scores = self.logits.clone() if self.ruled else self.logits  # these are told as they are
        for number, row in enumerate(self.active):
            if row.rules is not None:
                scores[number] = row.rules(row.stream.ids, scores[number])
        highest, likeliest = scores.max(-1)
        chosen: list[int | None] = likeliest.tolist()
        for number, finite in enumerate(highest.isfinite().tolist()):
            row = self.active[number]
            if not finite:
                chosen[number] = None
            elif row.ticket.request.temperature > 0:
                chosen[number] = _draw(scores[number].cpu(), row)
        return chosen

    def _write(self, row: _Row, token: int | None, number: int) -> bool:
        """Append a token to a row's text; whether that was the last one."""
        request = row.ticket.request
        if token is None:
            row.ticket.put(overflow(request.prompt, self.model.name))
            return True
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


def _alike(joining: Sequence[_Waiting]) -> list[list[_Waiting]]:
    """Rows that may be read together: those of like length, so that little is padding."""
    groups: dict[int, list[_Waiting]] = {}
    for one in joining:
        groups.setdefault(len(one.row).bit_length(), []).append(one)
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
    # In float64 and from the highest down, so that no temperature is too small.
    scores = warpers(written, (logits.double() - logits.max())[None])  # type: ignore[arg-type]
    return int(torch.multinomial(scores.softmax(-1), 1, generator=row.draw))
