"""What a tokenizer's single tokens say: the words by which two vocabularies are matched."""

from dataclasses import dataclass
from functools import lru_cache

from transformers import PreTrainedTokenizerBase
from transformers.convert_slow_tokenizer import bytes_to_unicode

BYTE_OF = {character: byte for byte, character in bytes_to_unicode().items()}  # type: ignore[no-untyped-call]
BLANK = "▁"  # SentencePiece's mark for a blank


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """Every word that is one token.

    ids        a word and its token; a leading blank where the token begins a word, none where it
               continues one, whatever mark the tokenizer itself uses
    tokenizer  knows what becomes of a text before it is cut into tokens (lower case, accents)
    """

    ids: dict[str, int]
    tokenizer: PreTrainedTokenizerBase

    def find(self, word: str) -> int | None:
        """The one token that the tokenizer makes of a word, or None.

        Where the tokenizer writes all in lower case, " Paris" is the token of " paris".
        """
        token = self.ids.get(word)
        normalizer = self.tokenizer.backend_tokenizer.normalizer
        if token is not None or normalizer is None:
            return token
        blank = " " if word.startswith(" ") else ""
        normal = normalizer.normalize_str(word.strip())
        return self.ids.get(blank + normal.replace(BLANK, " ").strip())


@lru_cache(maxsize=16)
def vocabulary(tokenizer: PreTrainedTokenizerBase) -> Vocabulary:
    """The words of a WordPiece, byte-level or SentencePiece (unigram, BPE) vocabulary.

    Special and unused tokens are no words, nor are tokens that hold a part of a character.
    """
    decoder = tokenizer.backend_tokenizer.decoder
    kind = decoder.__getstate__() if decoder is not None else b""
    read = _word_piece if b'"WordPiece"' in kind else _sentence_piece
    if b'"ByteLevel"' in kind:
        read = _bytes
    special = set(tokenizer.all_special_tokens)
    ids: dict[str, int] = {}
    for token, number in sorted(tokenizer.get_vocab().items(), key=lambda item: item[1]):
        word = None if token in special else read(token)
        if word is not None and word.strip():
            ids.setdefault(word, number)
    return Vocabulary(ids, tokenizer)


def _word_piece(token: str) -> str | None:
    if token.startswith("[unused") and token.endswith("]"):
        return None
    return token[2:] if token.startswith("##") else f" {token}"


def _bytes(token: str) -> str | None:
    """The bytes that stand behind a byte-level token's characters, if they are whole characters."""
    try:
        return bytes(BYTE_OF[character] for character in token).decode()
    except (KeyError, UnicodeDecodeError):
        return None


def _sentence_piece(token: str) -> str | None:
    is_byte = len(token) == 6 and token.startswith("<0x") and token.endswith(">")
    return None if is_byte else token.replace(BLANK, " ")
