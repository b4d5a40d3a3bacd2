"""A frozen language model that takes prompts."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from promptgraft.errors import ConfigError, DataError, PromptgraftError, WrongModelError
from promptgraft.models import attention, embedding, loading
from promptgraft.models.encoding import IGNORED, Batch, Encoded, Encoder
from promptgraft.models.gather import (
    OnePrompt,
    Prompts,
    batched_sites,
    batched_vectors,
    gather,
    length_of,
    merge_sites,
    merge_vectors,
    prefix_length_of,
)
from promptgraft.models.geometry import Family, geometry_of
from promptgraft.models.port import Port, SitePrefix
from promptgraft.models.template import parse
from promptgraft.prompts import ModelReference, Prefix, SoftPrompt

Row = Mapping[str, Any]
Rows = Sequence[Row] | Sequence[str]

PLAIN = {
    "causal": "{prompt} {source}",
    "seq2seq": "{prompt} {source}",
    "masked": "{prompt} {source}",
}
MOST_TOKENS = 1024  # a row's length if neither the model nor the caller limits it


class FrozenModel:
    """A causal, sequence-to-sequence or masked model of `transformers` whose weights never change.

    A prompt may be given to every method as one value for all rows, as a list with one per row
    (soft prompts and prefixes of any lengths, or None), or as the tensors that a module emits.

    model      in evaluation mode on `device`; its attention function is replaced by promptgraft's
    tokenizer  a fast tokenizer
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        name: str | None = None,
        revision: str | None = None,
        max_length: int | None = None,
    ) -> None:
        if not tokenizer.is_fast:
            raise PromptgraftError(
                f"{type(tokenizer).__name__} is a slow tokenizer; promptgraft needs a fast one "
                "(AutoTokenizer gives it where it exists)."
            )
        model.train(False)
        self.model, self.tokenizer = model.requires_grad_(False), tokenizer
        self.geometry = geometry_of(model.config)
        self.name = name or model.config.name_or_path or type(model).__name__
        self.port = Port()
        attention.install(model, self.geometry, self.port)
        embedding.install(model, self.port)
        limits = [n for n in (max_length, self.geometry.positions) if n is not None]
        self.encoder = Encoder(
            tokenizer,
            self.family,
            decoder_start=getattr(model.config, "decoder_start_token_id", None),
            eos=tokenizer.eos_token_id,
            pad=next(
                token
                for token in (tokenizer.pad_token_id, tokenizer.eos_token_id, 0)
                if token is not None
            ),
            max_length=min(limits, default=MOST_TOKENS),
        )
        with torch.no_grad():
            size = model.get_input_embeddings()(
                torch.zeros(1, 1, dtype=torch.long, device=self.device)
            )
        self.reference = ModelReference(
            name=self.name,
            revision=revision,
            fingerprint=loading.fingerprint(model),
            tokenizer_hash=loading.tokenizer_hash(tokenizer),
            family=self.family,
            embedding_size=size.shape[-1],
        )

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
        try:
            place = loading.best_device() if device == "auto" else torch.device(device)
        except RuntimeError:
            raise ConfigError(
                f"There is no device {device!r}; try auto, cpu, cuda or mps."
            ) from None
        wanted = loading.best_dtype(place) if dtype == "auto" else getattr(torch, dtype, None)
        if not isinstance(wanted, torch.dtype) or not wanted.is_floating_point:
            raise ConfigError(
                f"There is no dtype {dtype!r}; try auto, float32, bfloat16 or float16."
            )
        model = loading.load_model(name, revision)
        tokenizer = loading.load_tokenizer(name, revision)
        nn.Module.to(model, place, wanted)
        return cls(model, tokenizer, name, revision, max_length)

    @property
    def family(self) -> Family:
        return self.geometry.family

    @property
    def device(self) -> torch.device:
        return torch.device(self.model.device)

    @property
    def dtype(self) -> torch.dtype:
        dtype: torch.dtype = self.model.dtype
        return dtype

    @property
    def embedding_size(self) -> int:
        """D."""
        return self.reference.embedding_size

    def embed(self, ids: Tensor) -> Tensor:
        """What the embedding layer says: ids [...] to float32 vectors [..., D]."""
        layer = self.model.get_input_embeddings()
        with torch.no_grad():
            vectors: Tensor = layer(ids.to(self.device))
        return vectors.float()

    def check(self, prompt: OnePrompt) -> None:
        """Raise WrongModelError if a prompt was made for another model."""
        if not isinstance(prompt, (SoftPrompt, Prefix)):
            return
        base = prompt.card.base
        if base.fingerprint == self.reference.fingerprint:
            return
        title = prompt.card.title
        if base.embedding_size != self.embedding_size:
            why = (
                f"prompt {title} has {base.embedding_size}-dimensional virtual tokens, "
                f"{self.name} takes {self.embedding_size}."
            )
        else:
            why = (
                f"prompt {title} was made for {base.name} (fingerprint {base.fingerprint[:12]}), "
                f"not for {self.name} ({self.reference.fingerprint[:12]})."
            )
        raise WrongModelError(
            f"{why}\nMove it first: promptgraft transfer {title} --to {self.name}"
        )

    # Rows to tensors.

    def encode(
        self,
        rows: Rows,
        prompt: Prompts = None,
        template: str | None = None,
        answers: Sequence[str] | None = None,
        stop: bool = True,
        reserve: int = 0,
    ) -> list[Encoded]:
        """Render rows to token ids for the prompts they will be run with.

        rows      mappings, or strings, which become the field `source`
        template  default: the one on each prompt's card
        answers   the text at {mask} or {target} of each row; None to predict
        stop      end targets with the end-of-sequence token
        reserve   positions to leave free for what will be generated
        """
        records = [{"source": row} if isinstance(row, str) else row for row in rows]
        if not records:
            raise DataError("There are no rows.")
        prompts = prompt if isinstance(prompt, Sequence) else [prompt] * len(records)
        if len(prompts) != len(records):
            gather(prompts, len(records), self.device)  # raises
        groups: dict[int, list[int]] = {}
        for number, one in enumerate(prompts):
            groups.setdefault(id(one), []).append(number)
        encoded: list[Encoded | None] = [None] * len(records)
        for members in groups.values():
            one = prompts[members[0]]
            self.check(one)
            own = template or (one.card.template if isinstance(one, (SoftPrompt, Prefix)) else None)
            parsed = parse(own or PLAIN[self.family])
            if length_of(one) and not parsed.has_virtual:
                raise ConfigError(
                    f"The template {parsed.source!r} has no place for the prompt: add {{prompt}}."
                )
            before = prefix_length_of(one) if self.family == "causal" else 0
            some = self.encoder.encode(
                [records[number] for number in members],
                parsed,
                length_of(one),
                None if answers is None else [answers[number] for number in members],
                stop,
                before + reserve,
            )
            for number, row in zip(members, some, strict=True):
                encoded[number] = row
        return [row for row in encoded if row is not None]

    def collate(
        self,
        encoded: Sequence[Encoded],
        side: Literal["left", "right"] = "right",
        reserve: int = 0,
        share: bool = True,
    ) -> Batch:
        """Pad encoded rows to a batch on the model's device.

        share  give the beginning that rows share a pass of its own (causal models; exact, faster)
        """
        window = self.geometry.window
        longest = max(map(len, encoded)) + reserve
        split = share and (window is None or longest <= window)
        return self.encoder.collate(encoded, split, side).to(self.device)

    def batch(
        self,
        rows: Rows,
        prompt: Prompts = None,
        template: str | None = None,
        answers: Sequence[str] | None = None,
    ) -> Batch:
        """Rows to tensors in one step: `encode`, then `collate`."""
        return self.collate(self.encode(rows, prompt, template, answers))

    # Running the model.

    def loss(self, batch: Batch, prompt: Prompts = None) -> Tensor:
        """Mean cross-entropy over the labels of a batch, in nats, float32, differentiable."""
        logits, labels = self.labelled_logits(batch, prompt)
        return functional.cross_entropy(logits, labels)

    def labelled_logits(self, batch: Batch, prompt: Prompts = None) -> tuple[Tensor, Tensor]:
        """Logits [N, V] (float32) and labels [N] at the N labelled positions, row by row."""
        positions = batch.labels != IGNORED
        with self._attached(batch, prompt) as inputs, self._only(positions):
            logits = self.model(**inputs, use_cache=False).logits
        return logits.float(), batch.labels[positions]

    @contextmanager
    def _only(self, positions: Tensor) -> Iterator[None]:
        """Compute logits at these positions alone: [N, V] instead of [B, T, V]."""

        def select(_layer: nn.Module, arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            return (arguments[0][positions],)

        layer: nn.Module = self.model.get_output_embeddings()  # type: ignore[no-untyped-call]
        hook = layer.register_forward_pre_hook(select)
        try:
            yield
        finally:
            hook.remove()

    @contextmanager
    def _attached(self, batch: Batch, prompt: Prompts) -> Iterator[dict[str, Any]]:
        """Attach the batch's prompts; yields the arguments for the model's forward pass."""
        vectors, sites = self._prompts(batch, prompt)
        inputs: dict[str, Any] = {"input_ids": batch.tokens, "attention_mask": batch.mask}
        if self.family == "causal":
            inputs["position_ids"] = self._positions(batch, sites.get("self"))
        if batch.decoder_tokens is not None:
            inputs["decoder_input_ids"] = batch.decoder_tokens
            inputs["decoder_attention_mask"] = batch.decoder_mask
        with self.port.attached(vectors, sites):
            yield inputs

    def _prompts(
        self, batch: Batch, prompt: Prompts
    ) -> tuple[Tensor | None, dict[str, SitePrefix]]:
        """The batch's virtual tokens and prefixes, soft prompts compiled where heads are split."""
        gathered = gather(prompt, len(batch), self.device)
        vectors = [batched_vectors(tensors) for tensors in gathered.tensors]
        prefixes = [batched_sites(tensors) for tensors in gathered.tensors]
        index = gathered.index(len(batch))
        if batch.head_of is not None:
            heads = dict(zip(index, batch.head_of.tolist(), strict=True))
            for number, head in heads.items():
                tokens, own = batch.heads[head], vectors[number]
                if len(tokens) and own is not None:
                    prefixes[number] |= {"self": self.compile(tokens, own)}
                    vectors[number] = None
        if gathered.of is None:
            return vectors[0], {site: SitePrefix(tensor) for site, tensor in prefixes[0].items()}
        return merge_vectors(vectors, index), merge_sites(prefixes, index)

    def compile(self, tokens: Tensor, vectors: Tensor) -> Tensor:
        """The shared prompt pass: a beginning, run once, as keys and values.

        In a causal model these do not depend on what follows. Differentiable.

        tokens   [T]  negative ids are virtual tokens
        vectors  [B or 1, P, D]
        returns  [B or 1, L, 2, T, H_kv, d_head]
        """
        ids = tokens[None].expand(len(vectors), -1)
        with self.port.attached(vectors), self.port.recording() as sites:
            self.model.base_model(input_ids=ids, use_cache=False)
        return _stack(sites["self"])

    @torch.no_grad()
    def activations(self, ids: Tensor) -> dict[str, Tensor]:
        """The keys and values that real tokens have, as a prefix: the paper's initialisation.

        Special tokens are put around them for the pass and left out of the result; a seq2seq
        model reads the tokens on both sides.

        ids      [P]
        returns  by site [L, 2, P, H_kv, d_head], float32
        """
        first, last = self.encoder.first, self.encoder.last if self.family != "causal" else []
        whole = torch.tensor([[*first, *ids.tolist(), *last]], device=self.device)
        inputs = {"input_ids": whole}
        if self.family == "seq2seq":
            inputs["decoder_input_ids"] = whole
        with self.port.recording() as sites:
            self.model.base_model(**inputs, use_cache=False)
        own = slice(len(first), len(first) + len(ids))
        return {site: _stack(pairs)[0, :, :, own].float() for site, pairs in sites.items()}

    def _positions(self, batch: Batch, prefix: SitePrefix | None) -> Tensor:
        """Positions [B, T] of the text, counted on from the prefix."""
        positions = (batch.mask.long().cumsum(1) - 1).clamp(min=0)
        if prefix is None:
            return positions
        if prefix.visible is None:
            return positions + prefix.tensor.shape[3]
        return positions + prefix.visible.sum(1, keepdim=True)

    # What users ask of a model.

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
            logits, labels = self.labelled_logits(batch, _pick(prompt, chosen))
            scores = logits.log_softmax(-1).gather(1, labels[:, None])[:, 0]
            row = torch.nonzero(batch.labels != IGNORED)[:, 0]
            sums = torch.zeros(len(chosen), device=self.device).index_add(0, row, scores)
            result[chosen] = sums.cpu()
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

        Choices of one token each share one pass; longer ones take a pass each, and their
        likelihood is the sum over their tokens. Raises DataError for a choice that is more than
        one token at a mask.
        """
        first = self.encode(rows, prompt, template, [choices[0]] * len(rows), stop=False)
        ids = [self._last_label(rows, prompt, template, choice) for choice in choices]
        if any(token is None for token in ids):
            columns = [
                self.log_likelihood(rows, [choice] * len(rows), prompt, template, False, batch_size)
                for choice in choices
            ]
            return torch.stack(columns, dim=1)
        result = torch.zeros(len(first), len(choices))
        columns_of = torch.tensor([token for token in ids if token is not None], device=self.device)
        for chosen, batch in self._batches(first, batch_size):
            logits, _ = self.labelled_logits(batch, _pick(prompt, chosen))
            last = (batch.labels != IGNORED).sum(1).cumsum(0) - 1  # a BART target starts with <s>
            result[chosen] = logits[last].log_softmax(-1)[:, columns_of].cpu()
        return result

    def _last_label(
        self, rows: Rows, prompt: Prompts, template: str | None, choice: str
    ) -> int | None:
        """The token that a choice consists of, in its place; None if it is several."""
        one = prompt[0] if isinstance(prompt, Sequence) else prompt
        if isinstance(one, (Tensor, Mapping)):
            one = None if length_of(one) == 0 else one
        row = self.encode(rows[:1], one, template, [choice], stop=False)[0]
        labels = [t for t in (row.decoder_labels or row.labels) if t != IGNORED]
        own = len(labels) - (len(self.encoder.first) if self.family == "seq2seq" else 0)
        return labels[-1] if own == 1 else None

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
            logits, _ = self.labelled_logits(batch, _pick(prompt, chosen))
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
        seed: int | None = None,
        batch_size: int = 16,
        **settings: Any,
    ) -> list[str]:
        """Write a text for each source (causal and seq2seq models).

        stop      strings that end a text; they are not part of it
        seed      for sampling: the same texts for the same rows and batch size
        settings  of transformers' generation: num_beams, do_sample, temperature, top_p, top_k,
                  min_new_tokens, length_penalty, no_repeat_ngram_size, repetition_penalty, …
        """
        if self.family == "masked":
            raise PromptgraftError(
                f"{self.name} is a masked model; it fills masks and writes nothing."
            )
        reserve = max_new_tokens if self.family == "causal" else 0
        encoded = self.encode(sources, prompt, template, reserve=reserve)
        if not all(map(len, encoded)):
            raise DataError("A row is empty, and a prefix needs at least one token after it.")
        config = {"do_sample": False, "num_beams": 1} | settings
        if stop:
            config |= {"stop_strings": list(stop), "tokenizer": self.tokenizer}
        texts = [""] * len(encoded)
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices, enabled=seed is not None):
            if seed is not None:
                torch.manual_seed(seed)
            for chosen, batch in self._batches(encoded, batch_size, "left", reserve):
                with self._attached(batch, _pick(prompt, chosen)) as inputs:
                    ids = self.model.generate(  # type: ignore[operator]
                        **inputs,
                        max_new_tokens=max_new_tokens,
                        pad_token_id=self.encoder.pad,
                        **config,
                    )
                start = batch.tokens if batch.decoder_tokens is None else batch.decoder_tokens
                written = self.tokenizer.batch_decode(
                    ids[:, start.shape[1] :], skip_special_tokens=True
                )
                for number, text in zip(chosen, written, strict=True):
                    texts[number] = _until(str(text), stop).strip()
        return texts

    def _batches(
        self,
        encoded: Sequence[Encoded],
        batch_size: int,
        side: Literal["left", "right"] = "right",
        reserve: int = 0,
    ) -> Iterator[tuple[list[int], Batch]]:
        """Rows of like length together: the numbers of the rows, and their batch."""
        order = sorted(range(len(encoded)), key=lambda number: -len(encoded[number]))
        for start in range(0, len(order), batch_size):
            chosen = order[start : start + batch_size]
            yield chosen, self.collate([encoded[number] for number in chosen], side, reserve)


def _stack(pairs: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """Keys and values of the layers, each [B, H_kv, T, d_head], to [B, L, 2, T, H_kv, d_head]."""
    return torch.stack([torch.stack(pair, dim=1).transpose(2, 3) for pair in pairs], dim=1)


def _pick(prompt: Prompts, chosen: Sequence[int]) -> Prompts:
    """The prompts of some rows."""
    return [prompt[number] for number in chosen] if isinstance(prompt, Sequence) else prompt


def _until(text: str, stop: Sequence[str] | None) -> str:
    ends = [text.find(mark) for mark in stop or () if mark in text]
    return text[: min(ends)] if ends else text
