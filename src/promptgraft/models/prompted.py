"""From rows to logits: a model that runs with prompts attached."""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from promptgraft.errors import ConfigError, DataError, PromptgraftError, WrongModelError
from promptgraft.models import activation, attention, checkpointing, embedding, loading, output
from promptgraft.models.batch import IGNORED, Batch, Encoded, Side, collate, text_of
from promptgraft.models.encoding import Encoder
from promptgraft.models.gather import (
    OnePrompt,
    Prompts,
    batched_sites,
    batched_vectors,
    card_of,
    emitted,
    fits,
    gather,
    length_of,
    merge_sites,
    merge_vectors,
    prefix_length_of,
)
from promptgraft.models.geometry import geometry_of
from promptgraft.models.port import Port, SitePrefix
from promptgraft.models.template import Template, parse
from promptgraft.prompts import ModelReference
from promptgraft.prompts.card import Family

Row = Mapping[str, Any]
Rows = Sequence[Row | str]

PLAIN: dict[Family, str] = {
    "causal": "{prompt} {source}",
    "seq2seq": "{prompt} {source}",
    "masked": "{prompt} {source} {mask} .",
}
MOST_TOKENS = 1024  # a row's length if neither the model nor the caller limits it


class PromptedModel:
    """A frozen model of `transformers` and the port through which prompts enter it.

    model      in evaluation mode, every weight frozen; its attention function is replaced by
               promptgraft's, which is sdpa while no prompt is attached
    tokenizer  a fast tokenizer
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        name: str | None = None,
        revision: str | None = None,
        max_length: int | None = None,
        fingerprint: str | None = None,
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
        self._install()
        limits = [n for n in (max_length, self.geometry.positions) if n is not None]
        pads = (tokenizer.pad_token_id, tokenizer.eos_token_id, 0)
        self.encoder = Encoder(
            tokenizer,
            self.family,
            decoder_start=_decoder_start(model),
            eos=tokenizer.eos_token_id,
            pad=next(token for token in pads if token is not None),
            max_length=min(limits, default=MOST_TOKENS),
            positions=self.geometry.positions,
        )
        self.reference = ModelReference(
            name=self.name,
            revision=revision,
            fingerprint=fingerprint or loading.fingerprint(model),
            tokenizer_hash=loading.tokenizer_hash(tokenizer),
            family=self.family,
            embedding_size=self._look_up(torch.zeros(1, 1, dtype=torch.long)).shape[-1],
        )

    def _install(self) -> None:
        """Give the model a port, or take the one that it was given before."""
        known: tuple[Port, bool] | None = getattr(self.model, "_promptgraft_port", None)
        if known is None:
            port = Port()
            activation.fuse(self.model)
            embedding.install(self.model, port)
            known = port, attention.install(self.model, self.geometry, port)
            object.__setattr__(self.model, "_promptgraft_port", known)
        self.port, self.takes_prefixes = known
        self._tried_output: tuple[nn.Module, bool] | None = None
        self.numbered = "position_ids" in inspect.signature(self.model.forward).parameters

    @property
    def family(self) -> Family:
        return self.geometry.family

    @property
    def checkpointing(self) -> bool:
        """Whether layers keep nothing for the backward pass and are run again in it: the same
        gradients in much less memory, for about a third more work."""
        return self.port.checkpointing

    @checkpointing.setter
    def checkpointing(self, wanted: bool) -> None:
        if wanted and not getattr(self.model, "_promptgraft_checkpointing", False):
            checkpointing.install(self.model, self.port)
            object.__setattr__(self.model, "_promptgraft_checkpointing", True)
        self.port.checkpointing = wanted

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
        return self._look_up(ids).float()

    @torch.no_grad()
    def _look_up(self, ids: Tensor) -> Tensor:
        vectors: Tensor = self.model.get_input_embeddings()(ids.to(self.device))
        return vectors

    def check(self, prompt: OnePrompt) -> None:
        """Raise WrongModelError if a prompt was made for another model.

        A prompt that was imported without its model fits every model of its model's name, family
        and embedding size.
        """
        card = card_of(prompt)
        if card is None or card.base.may_be(self.reference):
            return
        base, title = card.base, card.title
        if base.embedding_size != self.embedding_size:
            why = (
                f"prompt {title} has {base.embedding_size}-dimensional virtual tokens, "
                f"{self.name} takes {self.embedding_size}."
            )
        else:
            why = (
                f"prompt {title} was made for {base.name} (fingerprint {_short(base)}), "
                f"not for {self.name} ({_short(self.reference)})."
            )
        if base.name == self.name:
            raise WrongModelError(
                f"{why}\nThe model of that name has changed since: tune the prompt again, or load "
                "the model that it was made for."
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

        rows      mappings, or texts for templates that read one field
        template  default: the one on each prompt's card
        answers   the text at {mask} or {target} of each row; None to predict
        stop      end targets with the end-of-sequence token
        reserve   positions to leave free for what will be generated

        Raises DataError for rows, ConfigError for templates that cannot be encoded.
        """
        if not rows:
            raise DataError("There are no rows.")
        if answers is not None and len(answers) != len(rows):
            raise DataError(f"Got {len(answers)} answers for {len(rows)} rows.")
        encoded: list[Encoded] = [Encoded()] * len(rows)
        for one, members in self._groups(prompt, len(rows)):
            self.check(one)
            parsed = self._template(one, template)
            some = self.encoder.encode(
                [parsed.row(rows[number]) for number in members],
                parsed,
                length_of(one),
                None if answers is None else [answers[number] for number in members],
                stop,
                reserve,
                prefix_length_of(one) if self.family == "causal" else 0,
                members,
            )
            for number, row in zip(members, some, strict=True):
                encoded[number] = row
        return encoded

    def _groups(self, prompt: Prompts, count: int) -> list[tuple[OnePrompt, list[int]]]:
        """The distinct prompts of `count` rows, and the numbers of the rows that have each."""
        if not isinstance(prompt, Sequence):
            return [(prompt, list(range(count)))]
        if len(prompt) != count:
            gather(prompt, count, self.device)  # raises
        groups: dict[int, tuple[OnePrompt, list[int]]] = {}
        for number, one in enumerate(prompt):
            groups.setdefault(id(one), (one, []))[1].append(number)
        return list(groups.values())

    def _template(self, prompt: OnePrompt, template: str | None) -> Template:
        """The template that a prompt's rows are rendered through."""
        card = card_of(prompt)
        parsed = parse(template or (card and card.template) or PLAIN[self.family])
        if length_of(prompt) and not parsed.has_virtual:
            raise ConfigError(
                f"The template {parsed.source!r} has no place for the prompt: add {{prompt}}."
            )
        return parsed

    def fields(self, prompt: OnePrompt) -> tuple[str, ...]:
        """The fields of a row that a prompt's template reads, in their order."""
        return self._template(prompt, None).fields

    def collate(
        self,
        encoded: Sequence[Encoded],
        side: Side = "right",
        reserve: int = 0,
        share: bool = True,
    ) -> Batch:
        """Pad encoded rows to a batch on the model's device.

        share  give the beginning that rows share a pass of its own (causal models; exact, faster)
        """
        window = self.geometry.window
        longest = max(map(len, encoded)) + reserve
        split = share and self.takes_prefixes and (window is None or longest <= window)
        return collate(encoded, self.encoder.pad, split, side).to(self.device)

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

    def loss(
        self, batch: Batch, prompt: Prompts = None, reduction: Literal["mean", "sum"] = "mean"
    ) -> Tensor:
        """Cross-entropy over the labels of a batch, in nats, float32, differentiable."""
        layer = self._plain_output()
        if layer is None:
            logits, labels = self.labelled_logits(batch, prompt)
            return functional.cross_entropy(logits, labels, reduction=reduction)
        hidden, labels = self._labelled_hidden(batch, prompt)
        total = output.cross_entropy(hidden.to(layer.weight.dtype), layer, labels)
        return total if reduction == "sum" else total / len(labels)

    def _plain_output(self) -> nn.Linear | None:
        """The output layer if it is plain and frozen; tried again if it was exchanged."""
        layer: nn.Module = self.model.get_output_embeddings()  # type: ignore[no-untyped-call]
        if self._tried_output is None or self._tried_output[0] is not layer:
            self._tried_output = layer, output.is_plain(self.model, layer)
        if not isinstance(layer, nn.Linear) or not self._tried_output[1]:
            return None
        return None if any(weight.requires_grad for weight in layer.parameters()) else layer

    def _labelled_hidden(self, batch: Batch, prompt: Prompts) -> tuple[Tensor, Tensor]:
        """What reaches the output layer at the labelled positions: [N, D]; labels [N]."""
        positions = batch.labels != IGNORED
        seen: list[Tensor] = []

        def take(_layer: nn.Module, arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            seen.append(arguments[0][positions])
            return (seen[0][:0],)

        with self.attached(batch, prompt) as inputs, self.hooked(take):
            self.model(**inputs, use_cache=False)
        return seen[0], batch.labels[positions]

    def labelled_logits(self, batch: Batch, prompt: Prompts = None) -> tuple[Tensor, Tensor]:
        """Logits [N, V] (float32) and labels [N] at the N labelled positions, row by row."""
        positions = batch.labels != IGNORED

        def select(_layer: nn.Module, arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            return (arguments[0][positions],)

        with self.attached(batch, prompt) as inputs, self.hooked(select):
            logits = self.model(**inputs, use_cache=False).logits
        return logits.float(), batch.labels[positions]

    @contextmanager
    def hooked(self, hook: Callable[..., tuple[Tensor, ...]]) -> Iterator[None]:
        """Change what reaches the output layer."""
        layer: nn.Module = self.model.get_output_embeddings()  # type: ignore[no-untyped-call]
        handle = layer.register_forward_pre_hook(hook)
        try:
            yield
        finally:
            handle.remove()

    @contextmanager
    def attached(self, batch: Batch, prompt: Prompts) -> Iterator[dict[str, Any]]:
        """Attach the batch's prompts; yields the arguments for the model's forward pass."""
        vectors, sites, changes = self._prompts(batch, prompt)
        inputs: dict[str, Any] = {"input_ids": batch.tokens, "attention_mask": batch.mask}
        # Masked and seq2seq models number their text as without a prefix.
        if self.family == "causal" and self.numbered:
            inputs["position_ids"] = _positions(batch, sites.get("self"))
        if batch.decoder_tokens is not None:
            inputs["decoder_input_ids"] = batch.decoder_tokens
            inputs["decoder_attention_mask"] = batch.decoder_mask
        with self.port.attached(vectors, sites, changes):
            yield inputs

    def _prompts(
        self, batch: Batch, prompt: Prompts
    ) -> tuple[Tensor | None, dict[str, SitePrefix], Tensor | None]:
        """The batch's virtual tokens, prefixes and changes of its text's embeddings [B, T, D].

        Soft prompts are compiled where heads are split.
        """
        for one, _ in self._groups(prompt, len(batch)):
            self.check(one)
        gathered = gather(emitted(prompt, batch), len(batch), self.device)
        fits(gathered.tensors, batch.virtual, self.name, self.geometry, self.takes_prefixes)
        of = gathered.index(len(batch))
        texts = [batched_vectors(tensors, "text") for tensors in gathered.tensors]
        changes = texts[0] if len(texts) == 1 else merge_vectors(texts, of)
        if changes is not None:
            changes = embedding.placed(changes, text_of(batch, self.family == "causal"))
        heads = batch.head_of or (0,) * len(batch)
        units = {
            unit: place for place, unit in enumerate(dict.fromkeys(zip(of, heads, strict=True)))
        }
        vectors = [batched_vectors(gathered.tensors[number]) for number, _ in units]
        prefixes = [batched_sites(gathered.tensors[number]) for number, _ in units]
        for head, tokens in enumerate(batch.heads):
            places = [
                place
                for (_, own), place in units.items()
                if own == head and len(tokens) and vectors[place] is not None
            ]
            some = [v for place in places if (v := vectors[place]) is not None]
            if some:
                compiled = self.compile(tokens, torch.cat(some))
                parts = torch.split(compiled, [len(v) for v in some])
                for place, part in zip(places, parts, strict=True):
                    vectors[place], prefixes[place] = None, {"self": part}
        if len(units) == 1:
            merged, sites = vectors[0], {s: SitePrefix(t) for s, t in prefixes[0].items()}
        else:
            of = [units[unit] for unit in zip(of, heads, strict=True)]
            merged, sites = merge_vectors(vectors, of), merge_sites(prefixes, of)
        if batch.prefix_at is not None and "self" in sites:
            sites["self"] = sites["self"].seen_from(batch.prefix_at, batch.tokens.shape[1])
        return merged, sites, changes

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
        first, last = self.encoder.first, self.encoder.last
        whole = torch.tensor([[*first, *ids.tolist(), *last]], device=self.device)
        inputs = {"input_ids": whole}
        if self.family == "seq2seq":
            inputs["decoder_input_ids"] = whole
        with self.port.recording() as sites:
            self.model.base_model(**inputs, use_cache=False)
        own = slice(len(first), len(first) + len(ids))
        return {site: _stack(pairs)[0, :, :, own].float() for site, pairs in sites.items()}


def _decoder_start(model: PreTrainedModel) -> int | None:
    """The token that a decoder begins with; a checkpoint names it in one of two places."""
    for config in (model.config, getattr(model, "generation_config", None)):
        token: int | None = getattr(config, "decoder_start_token_id", None)
        if token is not None:
            return token
    return None


def _stack(pairs: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """Keys and values of the layers, each [B, H_kv, T, d_head], to [B, L, 2, T, H_kv, d_head]."""
    return torch.stack([torch.stack(pair, dim=1).transpose(2, 3) for pair in pairs], dim=1)


def _positions(batch: Batch, prefix: SitePrefix | None) -> Tensor:
    """Positions [B, T] of the text, counted on behind the prefix."""
    positions = (batch.mask.long().cumsum(1) - 1).clamp(min=0)
    if prefix is None:
        return positions
    if prefix.visible is None:
        return positions + prefix.tensor.shape[3]
    seen = prefix.visible.sum(-1)  # [B] or [B, T]
    return positions + (seen if seen.ndim == 2 else seen[:, None])


def _short(reference: ModelReference) -> str:
    return (reference.fingerprint or "unknown")[:12]
