"""Filters on the fields of cards, such as `metric.accuracy>80 and base~mini/*`.

    filter      term (or term)*
    term        factor (and factor)*
    factor      not factor | ( filter ) | field [operator value]
    operator    =  !=  >  >=  <  <=  ~ (fits a glob)  !~
    value       a word without blanks, or a text in quotes

A field without an operator asks whether the card has it. `name` is the prompt's name in the
library; every other field is one of the card (`length`, `base.family`, `hyperparameters.lr`). Parts
at the front or in the middle may be left out: `lr` is `hyperparameters.lr`, `metric.accuracy` is
`metrics.test.accuracy` and `metrics.validation.accuracy`, and one of them is enough.
"""

import re
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple, Never

from promptgraft.errors import PromptgraftError, did_you_mean

_QUOTED = r"""\s*(?:"(?P<double>[^"]*)"|'(?P<single>[^']*)'|"""
_FIRST = re.compile(_QUOTED + r"""(?P<operator>!=|>=|<=|!~|[=<>~()])|(?P<word>[^\s=<>~!()"']+))""")
_VALUE = re.compile(_QUOTED + r"""(?P<word>[^\s()"']+))""")  # a glob may have a !
_COMPARE = ("=", "!=", ">", ">=", "<", "<=", "~", "!~")
_ALIASES = {"base": "base.name", "model": "base.name", "metric": "metrics", "parent": "parents"}


class Condition(NamedTuple):
    """A condition on a row of the index's table `prompts`, in SQL."""

    sql: str
    values: tuple[str | float, ...]


class _Token(NamedTuple):
    kind: str  # "operator", "text" (quoted), "word" or "end"
    text: str
    place: int


def condition(
    filter: str, fields: Callable[[str], Sequence[int]], known: Sequence[str]
) -> Condition:
    """Translate a filter.

    fields  the numbers in the index of the card fields that a name stands for
    known   the names of all card fields, for the error message

    Raises PromptgraftError that points at the place.
    """
    return _Parser(filter, fields, known).parse()


def matching(name: str, known: Sequence[str]) -> list[str]:
    """The card fields that a name in a filter stands for."""
    name = _ALIASES.get(name, name)
    if name in known:
        return [name]
    first, *rest = name.split(".")
    parts = [_ALIASES.get(first, first) if rest else first, *rest]

    def fits(field: str) -> bool:
        own = iter(field.split("."))
        return field.split(".")[-1] == parts[-1] and all(part in own for part in parts)

    return [field for field in known if fits(field)]


def glob(pattern: str) -> str:
    """A shell glob as SQLite's GLOB takes it."""
    return pattern.replace("[!", "[^")


def fits(name: str, pattern: str) -> bool:
    """Whether a name fits a glob, as SQLite would say."""
    return fnmatchcase(name, pattern.replace("[^", "[!"))


class _Parser:
    def __init__(
        self, filter: str, fields: Callable[[str], Sequence[int]], known: Sequence[str]
    ) -> None:
        self.filter, self.fields, self.known = filter, fields, known
        self.tokens = self._tokens()
        self.at = 0

    def parse(self) -> Condition:
        found = self._either()
        if self._next.kind != "end":
            self._fail(f"{self._next.text!r} is not expected here; join conditions with and, or")
        return found

    @property
    def _next(self) -> _Token:
        return self.tokens[self.at]

    def _take(self) -> _Token:
        token = self._next
        self.at += 1
        return token

    def _is(self, text: str) -> bool:
        """Whether this word or sign comes next."""
        return self._next.text == text and self._next.kind in ("word", "operator")

    def _either(self) -> Condition:
        return self._joined("or", self._all)

    def _all(self) -> Condition:
        return self._joined("and", self._one)

    def _joined(self, word: str, part: Callable[[], Condition]) -> Condition:
        parts = [part()]
        while self._is(word):
            self._take()
            parts.append(part())
        sql = f" {word.upper()} ".join(one.sql for one in parts)
        return Condition(f"({sql})", tuple(value for one in parts for value in one.values))

    def _one(self) -> Condition:
        if self._is("not"):
            self._take()
            found = self._one()
            return Condition(f"NOT {found.sql}", found.values)
        if self._is("("):
            self._take()
            found = self._either()
            if not self._is(")"):
                self._fail("a closing parenthesis is missing")
            self._take()
            return found
        if self._next.kind != "word":
            self._fail("a card field is expected here, such as metric.accuracy or base")
        field = self._take()
        numbers = self.fields(field.text)
        if not numbers and field.text != "name":
            ends = [known.rpartition(".")[2] for known in self.known]
            near = did_you_mean(field.text, ["name", *_ALIASES, *self.known, *ends])
            self._fail(f"no prompt here has a field {field.text!r}.{near}", field)
        operator = self._take().text if self._next.text in _COMPARE else None
        if operator and self._next.kind not in ("word", "text"):
            self._fail(f"a value is expected after {operator}")
        value = self._take() if operator else None
        if value is not None and value.kind == "word":
            if value.text[0] in "=<>":
                self._fail(f"{operator}{value.text[0]} compares nothing; use = or !=", value)
            if value.text.endswith("%"):
                self._fail("a number without % is expected; accuracies are per cent", value)
        return _comparison(field.text, numbers, operator, value)

    def _tokens(self) -> list[_Token]:
        tokens: list[_Token] = []
        place = 0
        text = self.filter.rstrip()
        while place < len(text):
            after = tokens[-1] if tokens else None
            value = after is not None and after.kind == "operator" and after.text in _COMPARE
            found = (_VALUE if value else _FIRST).match(text, place)
            if not found:
                rest = text[place:].lstrip()
                token = _Token("end", "", len(text) - len(rest))
                if value and after and not rest.startswith(("'", '"')):
                    self._fail(f"a value is expected after {after.text}", token)
                self._fail(f"{rest.split()[0]!r} is not expected here", token)
            kind = found.lastgroup or ""
            name = "text" if kind in ("double", "single") else kind
            start = found.start(kind) - (name == "text")
            tokens.append(_Token(name, found[kind], start))
            place = found.end()
        return [*tokens, _Token("end", "", len(text))]

    def _fail(self, reason: str, token: _Token | None = None) -> Never:
        place = (token or self._next).place
        raise PromptgraftError(
            f"cannot filter: {reason.rstrip('.?')}{'?' if reason.endswith('?') else '.'}\n"
            f"  {self.filter}\n  {' ' * place}^"
        )


def _comparison(
    field: str, numbers: Sequence[int], operator: str | None, value: _Token | None
) -> Condition:
    """One field, or several of which one is enough, beside a value."""
    if operator is None or value is None:
        return _having(numbers, "1", ()) if field != "name" else Condition("1", ())
    if operator.startswith("!"):
        found = _comparison(field, numbers, operator.replace("!", "", 1), value)
        return Condition(f"NOT {found.sql}", found.values)
    number = _number(value)
    test: str
    given: tuple[str | float, ...]
    if operator == "~":
        test, given = "value GLOB ?", (glob(value.text),)
    elif number is None:
        test, given = f"value {operator} ? AND typeof(value) = 'text'", (value.text,)
    elif operator == "=":
        test, given = "(value = ? OR value = ?)", (number, value.text)
    else:
        test, given = f"value {operator} ? AND typeof(value) != 'text'", (number,)
    if field == "name":
        return Condition(f"({test.replace('value', 'prompts.name')})", given)
    return _having(numbers, test, given)


def _having(numbers: Sequence[int], test: str, given: tuple[str | float, ...]) -> Condition:
    marks = ", ".join("?" * len(numbers))
    return Condition(
        f"prompts.id IN (SELECT prompt FROM fields WHERE field IN ({marks}) AND {test})",
        (*numbers, *given),
    )


def _number(value: _Token) -> float | None:
    if value.kind == "text":
        return None
    try:
        return float(value.text)
    except ValueError:
        return None
