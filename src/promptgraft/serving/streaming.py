"""From tokens to text in pieces that can be shown at once and never have to be taken back."""

import re
from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

HALF = "\ufffd"  # what the bytes of half a character are decoded as
BYTE = re.compile("<0x[0-9A-F]{2}>")  # a token that is one byte of a character
WINDOW, KEPT = 32, 16  # tokens that are decoded each time, at most; and those that remain then


class TextStream:
    """The text of a growing sequence of tokens.

    Held back is what may still change: half a character, a run of bytes (decoded together, it may
    turn out to be no text at all), blanks at the end, what a tokenizer that cleans up blanks has
    not come past, and what may be the beginning of a stop text.

    Only the last tokens are decoded: enough of what has been shown remains among them that what
    follows is decoded as behind the whole.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, stop: Sequence[str]) -> None:
        self.tokenizer, self.stop = tokenizer, [text for text in stop if text]
        self.ids: list[int] = []
        self.stopped = False
        self._cleans = bool(tokenizer.clean_up_tokenization_spaces)
        self._special = frozenset(tokenizer.all_special_ids)  # they are skipped
        self._in_bytes = False
        self._window: list[int] = []
        self._shown = 0  # characters of the window's text
        self._most = WINDOW

    def push(self, token: int) -> str:
        """Append a token; returns what can be shown now."""
        self.ids.append(token)
        self._window.append(token)
        if token not in self._special:
            name = str(self.tokenizer.convert_ids_to_tokens(token))
            self._in_bytes = BYTE.fullmatch(name) is not None
        text = self._text()
        ends = [place for mark in self.stop if (place := text.find(mark, self._shown)) >= 0]
        if ends:
            self.stopped = True
            return self._show(text[: min(ends)].rstrip())
        new = self._show(text[: self._safe(text)].rstrip())
        if len(self._window) >= self._most:
            self._forget(text)
        return new

    def finish(self) -> str:
        """What was held back."""
        return "" if self.stopped else self._show(self._text().rstrip())

    def _text(self) -> str:
        return str(self.tokenizer.decode(self._window, skip_special_tokens=True))

    def _safe(self, text: str) -> int:
        """How many characters can be shown, those behind them held back."""
        if self._in_bytes:
            return self._shown
        safe = len(text.rstrip(HALF))
        if self._cleans:  # "do n '" may become "don't"
            safe = min(safe, max(self._shown, text.rfind(" ", 0, text.rfind(" "))))
        sure = text[:safe]
        for mark in self.stop:
            for size in range(1, min(len(mark), len(sure)) + 1):
                if sure.endswith(mark[:size]):
                    safe = min(safe, len(sure) - size)
        return safe

    def _show(self, text: str) -> str:
        """Show so much of the window's text; returns what is new."""
        start = self._shown or len(text) - len(text.lstrip())  # no text begins with blanks
        new = text[start:]
        if new:
            self._shown = len(text)
        return new

    def _forget(self, text: str) -> None:
        """Keep the last tokens alone, if they are decoded to the text's end and begin with text
        that has been shown; else try again when there are twice as many."""
        kept = self._window[-KEPT:]
        end = str(self.tokenizer.decode(kept, skip_special_tokens=True))
        dropped = len(text) - len(end)
        if text.endswith(end) and dropped < self._shown:
            self._window, self._most = kept, WINDOW
            self._shown -= dropped
        else:
            self._most = 2 * len(self._window)
