"""Continuous batching: rows of any length are written on together, come and go at every step."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from promptgraft.errors import PromptgraftError
from promptgraft.models.batch import Encoded
from promptgraft.models.columns import Columns, Pairs, without
from promptgraft.models.gather import Prompts
from promptgraft.models.prompted import PromptedModel


class Slots:
    """The rows that are being written by a causal model, and what it remembers of each."""

    def __init__(self, model: PromptedModel) -> None:
        """Raises PromptgraftError for a model that is not causal or numbers its tokens itself."""
        if model.family != "causal" or not model.takes_prefixes or not model.numbered:
            raise PromptgraftError(
                f"{model.name} cannot write rows that come and go; that takes a causal model whose "
                "attention and positions are transformers' common ones."
            )
        self.model = model
        self.columns = Columns(model.device)
        self.positions = torch.zeros(0, dtype=torch.long, device=model.device)  # [B] of the next
        self.prefixes = torch.zeros(0, dtype=torch.long, device=model.device)  # [B] columns of

    def __len__(self) -> int:
        """B, the rows in it."""
        return len(self.columns)

    @torch.no_grad()
    def admit(self, encoded: Sequence[Encoded], prompts: Prompts, reserve: int = 0) -> Tensor:
        """Read rows with their prompts and append them; returns the next tokens' logits, [n, V].

        reserve  tokens that may be written to a row (with sliding windows it must be known before)

        Raises what `FrozenModel` raises for prompts and rows that do not fit.
        """
        batch = self.model.collate(encoded, reserve=reserve)
        lengths = batch.mask.sum(1)
        last = lengths - 1
        rows = torch.arange(len(batch), device=self.model.device)

        def newest(_layer: nn.Module, arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            return (arguments[0][rows, last],)

        with (
            self.model.attached(batch, prompts) as inputs,
            self.model.port.recording() as sites,
            self.model.hooked(newest),
        ):
            logits = self.model.model(**inputs, use_cache=False).logits
            prefix = self.model.port.sites.get("self")
            ends = inputs["position_ids"][rows, last] + 1
        remembered: list[Pairs] = []
        prefixes = []
        for row, length in enumerate(lengths.tolist()):
            before = None if prefix is None else prefix.of_row(row, length - 1)
            remembered.append(pairs_of(sites["self"], row, length, before))
            prefixes.append(0 if before is None else before.shape[2])
        self.columns.append(remembered)
        self.positions = torch.cat([self.positions, ends])
        self.prefixes = torch.cat([self.prefixes, torch.tensor(prefixes, device=ends.device)])
        newest_logits: Tensor = logits
        return newest_logits.float()

    @torch.no_grad()
    def step(self, tokens: Tensor) -> Tensor:
        """Append a token [B] to every row; returns the logits of the next ones, [B, V]."""
        self.columns.advance()
        logits = self.model.model(
            input_ids=tokens[:, None],
            attention_mask=self._seen(),
            position_ids=self.positions[:, None],
            past_key_values=self.columns.cache(),
            use_cache=True,
        ).logits
        self.positions += 1
        newest: Tensor = logits[:, -1].float()
        return newest

    def drop(self, row: int) -> None:
        """Take a row out; the last row moves into its place."""
        self.columns.drop(row)
        self.positions = without(self.positions, row)
        self.prefixes = without(self.prefixes, row)

    def _seen(self) -> Any:
        """Which columns the newest token of each row sees, as transformers takes it: [B, columns],
        or what goes unchanged to layers with sliding windows, which end before no prefix."""
        seen = self.columns.seen()
        window = self.model.geometry.window
        if window is None:
            return seen.long()
        places = self.columns.places()
        near = places >= self.columns.right - window
        prefix = places < (self.columns.starts + self.prefixes)[:, None]
        windowed = (seen & (near | prefix))[:, None, None]
        kinds = set(getattr(self.model.model.config, "layer_types", None) or ())
        if len(kinds) < 2:
            return windowed
        return {"full_attention": seen[:, None, None], "sliding_attention": windowed}


def pairs_of(recorded: Pairs, row: int, length: int, before: Tensor | None = None) -> Pairs:
    """A row's keys and values out of a batch's, each [B, H_kv, T, d_head] in every layer.

    length  of the row's own tokens; what follows them is padding
    before  what comes to stand before them, [L, 2, P, H_kv, d_head]
    """
    pairs = []
    for layer, (keys, values) in enumerate(recorded):
        own = keys[row, :, :length], values[row, :, :length]
        if before is not None:
            first = before[layer].to(keys.dtype).transpose(1, 2)  # [2, H_kv, P, d_head]
            own = torch.cat([first[0], own[0]], dim=1), torch.cat([first[1], own[1]], dim=1)
        pairs.append(own)
    return pairs
