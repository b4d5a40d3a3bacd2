"""Continuous batching of a sequence-to-sequence model: its encoder reads, its decoder's rows are
written on together, come and go at every step."""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import EncoderDecoderCache
from transformers.modeling_outputs import BaseModelOutput

from promptgraft.errors import PromptgraftError
from promptgraft.models.batch import Encoded
from promptgraft.models.columns import Columns, Pairs, without
from promptgraft.models.gather import Prompts, merge_sites
from promptgraft.models.port import SitePrefix
from promptgraft.models.prompted import PromptedModel
from promptgraft.models.slots import pairs_of


class DecoderSlots:
    """The rows that a decoder is writing, and what it remembers of their texts and of its own.

    A prefix's columns at the cross-attention stand before those of the text. Those of the decoder
    stay apart, as relative position biases (T5) are zero towards them.
    """

    def __init__(self, model: PromptedModel) -> None:
        """Raises PromptgraftError for a model whose decoder numbers its tokens itself."""
        decoder = model.model.get_decoder() if model.family == "seq2seq" else None  # type: ignore[no-untyped-call]
        self.numbers: nn.Module | None = getattr(decoder, "embed_positions", None)
        if self.numbers is None:
            fits = any(hasattr(part, "relative_attention_bias") for part in _parts(decoder))
        else:
            fits = "position_ids" in inspect.signature(self.numbers.forward).parameters
        if not model.takes_prefixes or not fits:
            raise PromptgraftError(
                f"{model.name} cannot write rows that come and go; that takes a model whose "
                "attention is transformers' common one, with positions as in BART or T5."
            )
        self.model = model
        self.own, self.text = Columns(model.device), Columns(model.device)
        self.positions = torch.zeros(0, dtype=torch.long, device=model.device)  # [B] of the next
        self.prefixes: list[Mapping[str, Tensor]] = []  # of the decoder, by row
        self.merged: dict[str, SitePrefix] = {}

    def __len__(self) -> int:
        """B, the rows in it."""
        return len(self.own)

    @torch.no_grad()
    def admit(self, encoded: Sequence[Encoded], prompts: Prompts, reserve: int = 0) -> Tensor:
        """Read rows with their prompts and append them; returns the next tokens' logits, [n, V].

        Raises what `FrozenModel` raises for prompts and rows that do not fit.
        """
        batch = self.model.collate(encoded, reserve=reserve)
        assert batch.decoder_mask is not None
        lengths = batch.decoder_mask.sum(1)
        rows = torch.arange(len(batch), device=self.model.device)

        def newest(_layer: nn.Module, arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            return (arguments[0][rows, lengths - 1],)

        with (
            self.model.attached(batch, prompts) as inputs,
            self.model.port.recording() as sites,
            self.model.hooked(newest),
        ):
            logits = self.model.model(**inputs, use_cache=False).logits
            prefixes = self.model.port.sites
        own: list[Pairs] = []
        text: list[Pairs] = []
        of_text = batch.mask.sum(1).tolist()
        for row, length in enumerate(lengths.tolist()):
            seen = {site: prefix.of_row(row, 0) for site, prefix in prefixes.items()}
            own.append(pairs_of(sites["decoder"], row, length))
            text.append(pairs_of(sites["cross"], row, of_text[row], seen.get("cross")))
            mine = seen.get("decoder")
            self.prefixes.append({} if mine is None or not mine.shape[2] else {"decoder": mine})
        self.own.append(own)
        self.text.append(text)
        self.positions = torch.cat([self.positions, lengths])
        self._merge()
        newest_logits: Tensor = logits
        return newest_logits.float()

    @torch.no_grad()
    def step(self, tokens: Tensor) -> Tensor:
        """Append a token [B] to every row; returns the logits of the next ones, [B, V]."""
        self.own.advance()
        memory = EncoderDecoderCache(self.own.cache(), self.text.cache())
        memory.is_updated = dict.fromkeys(range(len(self.text.layers)), True)
        # The text was read when the row joined; what stands for it here only says how long it is.
        width = self.model.model.config.hidden_size
        states = torch.zeros((), dtype=self.model.dtype, device=self.model.device)
        read = BaseModelOutput(states.expand(len(self), self.text.width, width))
        with self.model.port.attached(sites=self.merged), self._numbered():
            logits = self.model.model(
                encoder_outputs=read,
                attention_mask=self.text.seen().long(),
                decoder_input_ids=tokens[:, None],
                decoder_attention_mask=self.own.seen().long(),
                past_key_values=memory,
                use_cache=True,
            ).logits
        self.positions += 1
        newest: Tensor = logits[:, -1].float()
        return newest

    def drop(self, row: int) -> None:
        """Take a row out; the last row moves into its place."""
        self.own.drop(row)
        self.text.drop(row)
        self.positions = without(self.positions, row)
        self.prefixes[row] = self.prefixes[-1]
        self.prefixes.pop()
        self._merge()

    def _merge(self) -> None:
        """The decoder's prefixes, one a row."""
        self.merged = merge_sites(
            [{site: tensor[None] for site, tensor in own.items()} for own in self.prefixes],
            range(len(self.prefixes)),
        )

    @contextmanager
    def _numbered(self) -> Iterator[None]:
        """Give every row's newest token its own position, where the decoder has positions."""
        if self.numbers is None:
            yield
            return
        positions = self.positions[:, None]

        def number(
            _layer: nn.Module, arguments: tuple[Any, ...], keywords: dict[str, Any]
        ) -> tuple[tuple[Any, ...], dict[str, Any]]:
            return arguments, keywords | {"position_ids": positions}

        def shape(_layer: nn.Module, _arguments: tuple[Any, ...], vectors: Tensor) -> Tensor:
            return vectors.view(len(positions), 1, -1)

        hooks = [
            self.numbers.register_forward_pre_hook(number, with_kwargs=True),
            self.numbers.register_forward_hook(shape),
        ]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()


def _parts(module: nn.Module | None) -> Sequence[nn.Module]:
    return [] if module is None else list(module.modules())
