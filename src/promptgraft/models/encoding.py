"""Rows to token ids: templates rendered, tokenised and cut to length."""

from collections.abc import Mapping, Sequence
from typing import Any

from transformers import PreTrainedTokenizerBase

from promptgraft.errors import ConfigError, DataError
from promptgraft.models.batch import IGNORED, Encoded
from promptgraft.models.template import Decoder, Mask, Start, Target, Template, Text, Virtual
from promptgraft.models.truncation import Words, shorten
from promptgraft.prompts.card import Family


class Encoder:
    """Renders rows through templates for one tokenizer and family.

    max_length  most tokens of a row, virtual ones included (seq2seq: on the encoder's side)
    positions   most tokens on the decoder's side (seq2seq); None if nothing limits it
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        family: Family,
        decoder_start: int | None,
        eos: int | None,
        pad: int,
        max_length: int,
        positions: int | None = None,
    ) -> None:
        self.tokenizer, self.family = tokenizer, family
        self.decoder_start, self.eos, self.pad = decoder_start, eos, pad
        self.max_length, self.positions = max_length, positions
        ids = tokenizer("a")["input_ids"]
        bare = tokenizer("a", add_special_tokens=False)["input_ids"]
        start = next(i for i in range(len(ids)) if ids[i : i + len(bare)] == bare)
        self.first = ids[:start]  # [CLS], say
        self.last = ids[start + len(bare) :] if family != "causal" else []  # [SEP], say
        # WordPiece and SentencePiece need no blank before a word to know that it begins one.
        spaced = tokenizer(" a", add_special_tokens=False)["input_ids"]
        marked = tokenizer.convert_ids_to_tokens(bare)[0].startswith("▁")
        self.blank_counts = spaced != bare and not marked

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids without special tokens."""
        if not texts:
            return []
        ids: list[list[int]] = self.tokenizer(list(texts), add_special_tokens=False, verbose=False)[
            "input_ids"
        ]
        return ids

    def word(self, text: str) -> list[int]:
        """Token ids of a word in the middle of a sentence."""
        return self.tokenize([f" {text}" if self.blank_counts else text])[0]

    def encode(
        self,
        rows: Sequence[Mapping[str, Any]],
        template: Template,
        length: int = 0,
        answers: Sequence[str] | None = None,
        stop: bool = True,
        reserve: int = 0,
        prefix: int = 0,
        numbers: Sequence[int] | None = None,
    ) -> list[Encoded]:
        """Render rows.

        length   virtual tokens of the prompt; 0 (a prefix, or no prompt) empties all slots
        answers  one text a row, at {mask} or {target}; None to predict
        stop     end the target with the end-of-sequence token
        reserve  positions to leave free for what will be generated
        prefix   virtual tokens of a prefix that takes up positions (causal)
        numbers  what to call the rows in errors; default 0, 1, 2, …

        Raises DataError for a missing field and for rows that cannot be made short enough,
        ConfigError for a template that does not suit the family or the prompt.
        """
        self._check(template)
        slots = iter(template.slots(length)) if length else None
        counts = [
            next(slots) if isinstance(piece, Virtual) and slots is not None else 0
            for piece in template.pieces
        ]
        names = numbers if numbers is not None else range(len(rows))
        texts = self._texts(rows, template, counts, names)
        targets = None if answers is None else self.targets(template, answers, stop, length)
        encoded = []
        for number, name in enumerate(names):
            target = targets[number] if targets is not None else []
            try:
                cut = self._fit(template, counts, texts[number], target, reserve, prefix)
            except DataError as error:
                raise DataError(f"Row {name}: {error}") from None
            row = self._assemble(template, counts, texts[number], target, prefix)
            row.virtual, row.cut = length, cut
            encoded.append(row)
        return encoded

    def targets(
        self, template: Template, answers: Sequence[str], stop: bool, length: int = 0
    ) -> list[list[int]]:
        """The token ids that are predicted for these answers; see `encode`.

        Raises DataError for an answer that is not one token at a mask.
        """
        if self.family == "masked":
            return [self._masked(answer) for answer in answers]
        blank = " " if self._blank_before_target(template, length) else ""
        ids = self.tokenize([blank + answer for answer in answers])
        if self.family == "causal":
            last = [self.eos] if stop and self.eos is not None else []
            return [[*tokens, *last] for tokens in ids]
        first = [] if any(isinstance(p, Decoder) for p in template.pieces) else self.first
        last = self.last if stop else []
        return [[*first, *tokens, *last] for tokens in ids]

    def _masked(self, answer: str) -> list[int]:
        ids = self.word(answer)
        if len(ids) != 1:
            shown = " ".join(self.tokenizer.convert_ids_to_tokens(ids))
            raise DataError(
                f"The answer {answer!r} is {len(ids)} tokens ({shown}), a mask holds one. "
                "Choose another word for this label in the verbalizer."
            )
        return ids

    def _check(self, template: Template) -> None:
        def has(kind: type) -> bool:
            return any(isinstance(piece, kind) for piece in template.pieces)

        if self.family == "masked" and not has(Mask):
            raise ConfigError(f"The template {template.source!r} needs a {{mask}} for this model.")
        if self.family != "masked" and has(Mask):
            raise ConfigError(
                f"The template {template.source!r} has a {{mask}}; a {self.family} model has none."
            )
        if self.family == "masked" and has(Target):
            raise ConfigError(
                f"The template {template.source!r} has a {{target}}; "
                "a masked model answers at {mask}."
            )
        if self.family != "seq2seq" and has(Decoder):
            raise ConfigError(f"{{decoder}} in {template.source!r} is for seq2seq models only.")

    # Text.

    def _texts(
        self,
        rows: Sequence[Mapping[str, Any]],
        template: Template,
        counts: Sequence[int],
        names: Sequence[int],
    ) -> list[list[Words]]:
        """The text pieces of every row, tokenised."""
        texts = []
        for name, row in zip(names, rows, strict=True):
            try:
                texts.append(self._render(row, template, counts))
            except DataError as error:
                raise DataError(f"Row {name}: {error}") from None
        words = [word for row in texts for word in row]
        for word, ids in zip(words, self.tokenize([word.text for word in words]), strict=True):
            word.ids = ids
        return texts

    def _render(
        self, row: Mapping[str, Any], template: Template, counts: Sequence[int]
    ) -> list[Words]:
        """The text pieces of a row; blanks at their borders only where the tokenizer wants them."""
        words = []
        begun = blank = False  # does anything stand before this piece, and does it end in a blank?
        for piece, count in zip(template.pieces, counts, strict=True):
            if isinstance(piece, (Start, Decoder)):
                begun = blank = False
            elif isinstance(piece, Virtual):
                begun = begun or count > 0
            elif isinstance(piece, Text):
                whole, spans = piece.render(row)
                text = whole.strip(" ")
                blank = blank or whole.startswith(" ")
                lead = " " if self.blank_counts and begun and blank and text else ""
                shift = len(lead) - (len(whole) - len(whole.lstrip(" ")))
                spans = [(start + shift, end + shift) for start, end in spans]
                words.append(Words(lead + text, spans, []))
                begun = begun or text != ""
                blank = whole.endswith(" ") or (blank and not text)
            else:
                begun, blank = True, False
        return words

    def _blank_before_target(self, template: Template, length: int) -> bool:
        """Whether a target begins with a blank: as the template has it; one if it names none."""
        begun = blank = False
        for piece in template.pieces:
            if isinstance(piece, Target):
                break
            if isinstance(piece, (Start, Decoder)):
                begun = blank = False
            elif isinstance(piece, Virtual):
                begun = begun or length > 0
            elif isinstance(piece, Text):
                begun, blank = True, piece.parts[-1][1] is None and piece.parts[-1][0][-1:] == " "
        else:
            blank = True
        if self.family == "seq2seq" and not any(isinstance(p, Decoder) for p in template.pieces):
            return False
        return self.blank_counts and begun and blank

    # Length.

    def _fit(
        self,
        template: Template,
        counts: Sequence[int],
        texts: Sequence[Words],
        target: Sequence[int],
        reserve: int,
        prefix: int,
    ) -> int:
        """Shorten the row's own fields until both sides fit; returns the tokens cut."""
        pieces = template.pieces
        border = next((n for n, p in enumerate(pieces) if isinstance(p, Decoder)), len(pieces))
        before = sum(isinstance(piece, Text) for piece in pieces[:border])
        written = max(len(target) - 1, 0) + reserve  # the last token is predicted, never read
        size = len(self.first) + len(self.last) + sum(counts[:border]) + prefix
        size += {"causal": written, "masked": 1, "seq2seq": 0}[self.family]
        cut = shorten(self.tokenizer, texts[:before], size, self.max_length)
        if self.family == "seq2seq" and self.positions is not None:
            size = 1 + sum(counts[border:]) + written
            size += len(self.first) if border < len(pieces) else 0
            cut += shorten(self.tokenizer, texts[before:], size, self.positions)
        return cut

    # Assembly.

    def _assemble(
        self,
        template: Template,
        counts: Sequence[int],
        texts: Sequence[Words],
        target: list[int],
        prefix: int,
    ) -> Encoded:
        """The pieces as one row of ids and labels, each label where it is predicted from."""
        started = any(isinstance(piece, Start) for piece in template.pieces)
        row = Encoded(tokens=[] if started else list(self.first))
        tokens, words, slot, common = row.tokens, iter(texts), 0, True
        slots = [n for n, piece in enumerate(template.pieces) if isinstance(piece, Virtual)]
        labels: dict[int, int] = {}
        for place, (piece, count) in enumerate(zip(template.pieces, counts, strict=True)):
            if isinstance(piece, Virtual):
                if prefix and place == slots[0] and len(tokens) > len(self.first):
                    row.prefix_at = len(tokens)
                tokens.extend(range(-1 - slot, -1 - slot - count, -1))
                slot += count
                row.head = len(tokens) if common else row.head
            elif isinstance(piece, Start):
                tokens.extend(self.first)
            elif isinstance(piece, Mask):
                labels[len(tokens)] = target[0] if target else self.pad  # asked, if not known
                tokens.append(self.tokenizer.mask_token_id)
            elif isinstance(piece, Decoder):
                tokens = self._start_decoder(row)
                tokens.extend(self.first)
            elif isinstance(piece, Text):
                tokens.extend(next(words).ids)
                common = common and piece.is_literal
        if self.family == "masked":
            tokens.extend(self.last)
        else:
            if self.family == "seq2seq" and tokens is row.tokens:
                tokens = self._start_decoder(row)
            if not tokens:
                tokens.append(self._start())
            labels = {len(tokens) - 1 + i: token for i, token in enumerate(target)}
            row.prefix_at = min(row.prefix_at, len(tokens) - 1)  # what is written first hears it
            tokens.extend(target[:-1])
        found = [labels.get(place, IGNORED) for place in range(len(tokens))]
        row.labels, row.decoder_labels = (found, []) if tokens is row.tokens else ([], found)
        # The head is worth a pass of its own if it holds every virtual token and predicts nothing.
        body = row.tokens[row.head :]
        whole = slot > 0 and bool(body) and min(body) >= 0
        if self.family != "causal" or not whole or min(labels, default=row.head) < row.head:
            row.head = 0
        return row

    def _start(self) -> int:
        """The token before a text that stands alone, as GPT-2 and its kin have it."""
        for token in (self.tokenizer.bos_token_id, self.eos):
            if token is not None:
                return int(token)
        raise DataError("A row is empty, and the tokenizer has no token to begin with.")

    def _start_decoder(self, row: Encoded) -> list[int]:
        """Close the encoder's side; returns the decoder's tokens."""
        if self.decoder_start is None:
            raise ConfigError("The model's configuration names no decoder_start_token_id.")
        row.tokens.extend(self.last)
        row.decoder_tokens.append(self.decoder_start)
        return row.decoder_tokens
