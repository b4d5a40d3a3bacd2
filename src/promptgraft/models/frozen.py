"""A frozen language model that takes prompts: what users ask of it."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import GenerationConfig

from promptgraft.errors import ConfigError, DataError, PromptgraftError, did_you_mean
from promptgraft.models import loading
from promptgraft.models.batch import IGNORED, Batch, Encoded, Side
from promptgraft.models.cost import Cost, step_cost
from promptgraft.models.gather import (
    OnePrompt,
    Prompts,
    batched_vectors,
    gather,
    length_of,
    pick,
    sites_of,
)
from promptgraft.models.generation import generate
from promptgraft.models.prompted import PromptedModel, Rows
from promptgraft.prompts import Ensemble


class FrozenModel(PromptedModel):
    """A causal, sequence-to-sequence or masked model of `transformers` whose weights never change.

    A prompt may be given to every method as one value for all rows, as a list with one per row
    (soft prompts and prefixes of any lengths, or None), or as the tensors that a module emits.

    A model object that is already loaded is taken as it is: put into evaluation mode, its weights
    frozen, its attention function replaced by promptgraft's (sdpa while no prompt is attached).
    """

    @classmethod
    def load(
        cls,
        name: str,
        device: str = "auto",
        dtype: str = "auto",
        revision: str | None = None,
        max_length: int | None = None,
    ) -> "FrozenModel":
        """Load a mini, a local folder or a model of the hub.

        device      "auto", or what torch calls it
        dtype       "auto" (bfloat16 where the machine is faster with it), "float32", "bfloat16", …
        max_length  longest row in tokens; default what the model takes, at most 1024 if unlimited

        Raises PromptgraftError if there is no such model, device or dtype.
        """
        place = loading.device(device)
        wanted = loading.dtype(dtype, place)
        model = loading.load_model(name, revision)
        tokenizer = loading.load_tokenizer(name, revision)
        fingerprint = loading.fingerprint(model)  # of the stored weights, before they are rounded
        nn.Module.to(model, place, wanted)
        return cls(model, tokenizer, name, revision, max_length, fingerprint)

    def save(self, folder: Path) -> None:
        """Write the model and its tokenizer to a folder, as transformers has them.

        From then on it is the model of that folder: a prompt that is made for it names the folder,
        and carries the fingerprint of the weights as they are now.
        """
        loading.save_model(self.model, self.tokenizer, folder)
        self.name, mark = str(folder), loading.fingerprint(self.model)
        own = {"name": self.name, "revision": None, "fingerprint": mark}
        self.reference = self.reference.model_copy(update=own)

    @torch.no_grad()
    def log_likelihood(
        self,
        sources: Rows,
        targets: Sequence[str],
        prompt: Prompts = None,
        template: str | None = None,
        stop: bool = True,
        batch_size: int = 32,
    ) -> Tensor:
        """log p(target | source), summed over the target's tokens: [rows], float32, nats."""
        encoded = self.encode(sources, prompt, template, targets, stop)
        result = torch.zeros(len(encoded))
        for chosen, batch in self._batches(encoded, batch_size):
            logits, labels = self.labelled_logits(batch, pick(prompt, chosen))
            scores = logits.log_softmax(-1).gather(1, labels[:, None])[:, 0]
            result[chosen] = _per_row(batch, scores).cpu()
        return result

    def choose(
        self,
        rows: Rows,
        choices: Sequence[str],
        prompt: Prompts = None,
        template: str | None = None,
        batch_size: int = 32,
    ) -> list[str]:
        """The likeliest of `choices` for each row: at the mask, or as the target."""
        scores = self.choice_scores(rows, choices, prompt, template, batch_size)
        return [choices[best] for best in scores.argmax(1).tolist()]

    @torch.no_grad()
    def choice_scores(
        self,
        rows: Rows,
        choices: Sequence[str],
        prompt: Prompts = None,
        template: str | None = None,
        batch_size: int = 32,
    ) -> Tensor:
        """log p of each choice for each row: [rows, choices], float32, nats.

        The likelihood of a choice is the sum over its tokens, the end of the text not among them.
        Choices that differ in their last token alone share one pass, others take a pass each.
        With an ensemble p is the mean of its members' chances among the choices.
        Raises DataError for a choice that is more than one token at a mask.
        """
        if not choices:
            raise DataError("There are no choices.")
        if isinstance(prompt, Ensemble):
            prompt = [prompt] * len(rows)
        if isinstance(prompt, Sequence) and any(isinstance(one, Ensemble) for one in prompt):
            return self._voted(rows, choices, prompt, template, batch_size)
        ends = self._last_tokens(len(rows), choices, prompt, template)
        if ends is None:
            columns = [
                self.log_likelihood(rows, [choice] * len(rows), prompt, template, False, batch_size)
                for choice in choices
            ]
            return torch.stack(columns, dim=1)
        encoded = self.encode(rows, prompt, template, [choices[0]] * len(rows), stop=False)
        result = torch.zeros(len(encoded), len(choices))
        for chosen, batch in self._batches(encoded, batch_size):
            logits, labels = self.labelled_logits(batch, pick(prompt, chosen))
            scores = logits.log_softmax(-1)
            last = (batch.labels != IGNORED).sum(1).cumsum(0) - 1
            before = scores.gather(1, labels[:, None])[:, 0].index_fill(0, last, 0.0)
            own = scores[last].gather(1, ends[chosen].to(self.device))
            result[chosen] = (own + _per_row(batch, before)[:, None]).cpu()
        return result

    def _voted(
        self,
        rows: Rows,
        choices: Sequence[str],
        prompts: Sequence[OnePrompt],
        template: str | None,
        batch_size: int,
    ) -> Tensor:
        """`choice_scores` where some prompts are ensembles: every member has the row to itself."""
        voters = [one.members if isinstance(one, Ensemble) else (one,) for one in prompts]
        spread = [row for row, own in zip(rows, voters, strict=True) for _ in own]
        every = [voter for own in voters for voter in own]
        scores = self.choice_scores(spread, choices, every, template, batch_size)
        apart = torch.split(scores, [len(own) for own in voters])
        return torch.stack(
            [
                own.softmax(1).mean(0).log() if isinstance(one, Ensemble) else own[0]
                for one, own in zip(prompts, apart, strict=True)
            ]
        )

    def _last_tokens(
        self, count: int, choices: Sequence[str], prompt: Prompts, template: str | None
    ) -> Tensor | None:
        """The last token of every choice: [rows, choices]; None if choices differ before it.

        Templates differ in what they put before a choice, and a prompt may bring its own.
        """
        ends = torch.zeros(count, len(choices), dtype=torch.long)
        for one, members in self._groups(prompt, count):
            parsed = self._template(one, template)
            ids = self.encoder.targets(parsed, choices, False, length_of(one))
            if not all(ids) or len({tuple(tokens[:-1]) for tokens in ids}) > 1:
                return None
            ends[members] = torch.tensor([tokens[-1] for tokens in ids])
        return ends

    @torch.no_grad()
    def fill(
        self,
        rows: Rows,
        prompt: Prompts = None,
        template: str | None = None,
        vocabulary: Sequence[str] | None = None,
        batch_size: int = 32,
    ) -> list[str]:
        """The likeliest word at the mask of each row (masked models).

        vocabulary  words to choose from; those that are not one token for this model cannot be
                    predicted and are left out. None: every token.
        """
        if self.family != "masked":
            raise PromptgraftError(f"{self.name} is {self.family}; only masked models fill masks.")
        words = None if vocabulary is None else self.single_tokens(vocabulary)
        if words is not None and not words:
            raise DataError(f"No word of the vocabulary is one token for {self.name}.")
        encoded = self.encode(rows, prompt, template)
        result = [""] * len(encoded)
        allowed = None if words is None else torch.tensor(list(words.values()), device=self.device)
        names = None if words is None else list(words)
        for chosen, batch in self._batches(encoded, batch_size):
            logits, _ = self.labelled_logits(batch, pick(prompt, chosen))
            best = (logits if allowed is None else logits[:, allowed]).argmax(1).tolist()
            for number, token in zip(chosen, best, strict=True):
                result[number] = (
                    names[token] if names else str(self.tokenizer.decode([token])).strip()
                )
        return result

    def single_tokens(self, words: Sequence[str]) -> dict[str, int]:
        """Those of `words` that are one token in the middle of a sentence, with their ids."""
        blank = " " if self.encoder.blank_counts else ""
        ids = self.encoder.tokenize([blank + word for word in words])
        unknown = self.tokenizer.unk_token_id
        return {
            word: tokens[0]
            for word, tokens in zip(words, ids, strict=True)
            if len(tokens) == 1 and tokens[0] != unknown
        }

    @torch.no_grad()
    def generate(
        self,
        sources: Rows,
        prompt: Prompts = None,
        template: str | None = None,
        max_new_tokens: int = 64,
        stop: Sequence[str] | None = None,
        banned: Sequence[str] | None = None,
        seed: int | None = None,
        batch_size: int = 16,
        **settings: Any,
    ) -> list[str]:
        """Write a text for each source (causal and seq2seq models).

        stop      strings that end a text; they are not part of it
        banned    strings whose tokens are never written in this order, at the start of a word or
                  within one
        seed      for sampling: the same texts for the same rows and batch size
        settings  of transformers' generation: num_beams, do_sample, temperature, top_p, top_k,
                  min_new_tokens, length_penalty, no_repeat_ngram_size, repetition_penalty, …
        """
        if self.family == "masked":
            raise PromptgraftError(
                f"{self.name} is a masked model; it fills masks and writes nothing."
            )
        config = self._generation(settings, stop, banned) | {"max_new_tokens": max_new_tokens}
        encoded = self.encode(sources, prompt, template, reserve=max_new_tokens)
        texts = [""] * len(encoded)
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices, enabled=seed is not None):
            if seed is not None:
                torch.manual_seed(seed)
            for chosen, batch in self._batches(encoded, batch_size, "left", max_new_tokens):
                start = batch.tokens if batch.decoder_tokens is None else batch.decoder_tokens
                with self.attached(batch, pick(prompt, chosen)) as inputs:
                    ids = generate(self.model, inputs, self.encoder.pad, config)
                new = ids[:, start.shape[1] :].tolist()
                own = [_before_end(row, config.get("eos_token_id")) for row in new]
                written = self.tokenizer.batch_decode(own, skip_special_tokens=True)
                for number, text in zip(chosen, written, strict=True):
                    texts[number] = _until(str(text), stop).strip()
        return texts

    @staticmethod
    def check_generation(settings: Iterable[str]) -> None:
        """Raises ConfigError for names that are no settings of transformers' generation."""
        known = vars(GenerationConfig()).keys() - {"num_return_sequences"}  # type: ignore[no-untyped-call]
        for name in settings:
            if name not in known:
                raise ConfigError(
                    f"There is no generation setting {name!r}.{did_you_mean(name, known)}"
                )

    def _generation(
        self,
        settings: dict[str, Any],
        stop: Sequence[str] | None = None,
        banned: Sequence[str] | None = None,
    ) -> dict[str, Any]:
        """The arguments of transformers' generation. Raises ConfigError for unknown ones."""
        self.check_generation(settings)
        config: dict[str, Any] = {
            "do_sample": False,
            "num_beams": 1,
            "pad_token_id": self.encoder.pad,
        }
        if self.ends:
            config["eos_token_id"] = sorted(self.ends)
        if stop:
            config |= {"stop_strings": list(stop), "tokenizer": self.tokenizer}
        if banned:
            written = [start + text for text in banned for start in ("", " ")]
            ids = self.tokenizer(written, add_special_tokens=False)["input_ids"]
            config["bad_words_ids"] = [list(one) for one in dict.fromkeys(map(tuple, ids)) if one]
        return config | settings

    @property
    def ends(self) -> set[int]:
        """The tokens that end a text."""
        ends = self.model.generation_config.eos_token_id
        return {*(ends if isinstance(ends, list) else [ends]), self.encoder.eos} - {None}

    def cost(self, batch: Batch, prompt: Prompts = None) -> Cost:
        """What a training step on this batch takes, without running it."""
        gathered = gather(prompt, len(batch), torch.device("cpu"))
        seen: dict[str, int] = {}
        for tensors in gathered.tensors:
            for site, tensor in sites_of(tensors).items():
                seen[site] = max(seen.get(site, 0), tensor.shape[-3])
        vectors = [batched_vectors(tensors) for tensors in gathered.tensors]
        lines = sum(len(some) for some in vectors if some is not None)
        numbers = sum(t.numel() for tensors in gathered.tensors for t in tensors.values())
        again = self.checkpointing
        return step_cost(self.model, self.geometry, batch, seen, lines, numbers, again)

    def _batches(
        self, encoded: Sequence[Encoded], batch_size: int, side: Side = "right", reserve: int = 0
    ) -> Iterator[tuple[list[int], Batch]]:
        """Rows of like length together: the numbers of the rows, and their batch.

        Padded on the left, rows are alike on the decoder's side: it counts positions from there.
        """
        alike: dict[int, list[int]] = defaultdict(list)
        for number, row in enumerate(encoded):
            alike[len(row.decoder_tokens) if side == "left" else 0].append(number)
        for members in alike.values():
            members.sort(key=lambda number: -len(encoded[number]))
            for start in range(0, len(members), batch_size):
                chosen = members[start : start + batch_size]
                yield chosen, self.collate([encoded[number] for number in chosen], side, reserve)


def _per_row(batch: Batch, scores: Tensor) -> Tensor:
    """Sums over the labels of each row: [N] -> [B]."""
    row = torch.nonzero(batch.labels != IGNORED)[:, 0]
    return torch.zeros(len(batch), device=scores.device).index_add(0, row, scores)


def _before_end(written: list[int], ends: int | list[int] | None) -> list[int]:
    """The tokens before the one that ends the text, which need not be a special one."""
    known = {ends} if isinstance(ends, int) else set(ends or ())
    last = next((number for number, token in enumerate(written) if token in known), None)
    return written[:last]


def _until(text: str, stop: Sequence[str] | None) -> str:
    ends = [text.find(mark) for mark in stop or () if mark in text]
    return text[: min(ends)] if ends else text
