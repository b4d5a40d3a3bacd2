"""From tokens to text in pieces that can be shown at once and never have to be taken back."""

from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

HALF = "\ufffd"  # what the bytes of half a character are decoded as


class TextStream:
    """The text of a growing sequence of tokens.

    Held back is what may still change: half a character, blanks at the end, and what may be the
    beginning of a stop text.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, stop: Sequence[str]) -> None:
        self.tokenizer, self.stop = tokenizer, [text for text in stop if text]
        self.ids: list[int] = []
        self.shown = ""
        self.stopped = False

    def push(self, token: int) -> str:
        """Append a token; returns what can be shown now."""
        self.ids.append(token)
        text = self._text()
        ends = [place for mark in self.stop if (place := text.find(mark)) >= 0]
        if ends:
            self.stopped = True
            return self._show(text[: min(ends)].rstrip())
        kept = text.rstrip(HALF).rstrip()
        safe = len(kept)
        for mark in self.stop:
            for size in range(1, min(len(mark), len(text)) + 1):
                if text.endswith(mark[:size]):
                    safe = min(safe, len(text) - size)
        return self._show(kept[:safe].rstrip())

    def finish(self) -> str:
        """What was held back."""
        return "" if self.stopped else self._show(self._text().rstrip())

    def _text(self) -> str:
        return str(self.tokenizer.decode(self.ids, skip_special_tokens=True)).lstrip()

    def _show(self, text: str) -> str:
        new = text[len(self.shown) :]
        self.shown += new
        return new
