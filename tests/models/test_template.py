"""Templates: what they parse to, and what is refused."""

import pytest

from promptgraft.errors import ConfigError, DataError
from promptgraft.models.template import Decoder, Mask, Start, Target, Text, Virtual, parse

ROW = {"text": "a dull story", "other": 3}


def shape(source: str) -> list[str]:
    """The pieces in short: literal text with fields in <>, and names of the others."""
    found = []
    for piece in parse(source).pieces:
        if isinstance(piece, Text):
            found.append("".join(literal + (f"<{f}>" if f else "") for literal, f in piece.parts))
        elif isinstance(piece, Virtual):
            found.append(f"P{piece.count or ''}")
        else:
            found.append(type(piece).__name__)
    return found


@pytest.mark.parametrize(
    ("source", "pieces"),
    [
        ("{prompt} {text}", ["P", " <text>"]),
        ("{text} {prompt:5} {mask} .", ["<text> ", "P5", " ", "Mask", " ."]),
        ("{a}{b} and {prompt:2}", ["<a><b> and ", "P2"]),
        ("{{literal}} {a}", ["{literal} <a>"]),
        ("{a} {decoder} {prompt} So: {target}", ["<a> ", "Decoder", " ", "P", " So: ", "Target"]),
        ("no fields", ["no fields"]),
        ("", []),
    ],
)
def test_pieces(source: str, pieces: list[str]):
    assert shape(source) == pieces


def test_specials_are_what_they_are_called():
    kinds = [type(piece) for piece in parse("{mask}{decoder}{prompt}{target}").pieces]
    assert kinds == [Mask, Decoder, Virtual, Target]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{text", "malformed"),
        ("text}", "malformed"),
        ("{} {prompt}", r"\{\} without a name"),
        ("{prompt:0}", r"\{prompt:0\} .* must give a number"),
        ("{prompt:five}", r"\{prompt:five\}"),
        ("{prompt:-1}", r"\{prompt:-1\}"),
        ("{prompt} {text} {prompt}", "two slots without a number"),
        ("{mask} {mask}", r"names \{mask\} twice"),
        ("{target} {target}", r"names \{target\} twice"),
        ("{decoder} {decoder}", r"names \{decoder\} twice"),
        ("{text:20} {prompt}", r"\{text:20\}; only \{prompt:5\} takes a number"),
        ("{mask:2}", r"\{mask:2\}"),
        ("{text!r}", r"\{text!r\}"),
        ("{text} {target} .", r"goes on after \{target\}"),
        ("{target} {prompt}", r"goes on after \{target\}"),
        ("{target} {decoder}", r"goes on after \{target\}"),
    ],
)
def test_what_is_refused(source: str, message: str):
    with pytest.raises(ConfigError, match=message):
        parse(source)


@pytest.mark.parametrize(
    ("source", "length", "slots"),
    [
        ("{prompt} {text}", 7, [7]),
        ("{prompt:3} {text} {prompt:2}", 5, [3, 2]),
        ("{prompt:3} {text} {prompt}", 5, [3, 2]),
        ("{prompt} {text} {prompt:4}", 5, [1, 4]),
        ("{prompt} {text} {prompt:5}", 5, [0, 5]),
    ],
)
def test_slots(source: str, length: int, slots: list[int]):
    assert parse(source).slots(length) == slots


@pytest.mark.parametrize(
    ("source", "length"),
    [("{prompt:3}", 4), ("{prompt:3}", 2), ("{text}", 1), ("{prompt:3}{x}", 9)],
)
def test_slots_that_do_not_add_up(source: str, length: int):
    with pytest.raises(ConfigError, match=f"the prompt has {length}"):
        parse(source).slots(length)


def test_rendering_knows_what_comes_from_the_row():
    text, spans = parse("Say: {text}, {other}.").pieces[0].render(ROW)
    assert text == "Say: a dull story, 3."
    assert [text[start:end] for start, end in spans] == ["a dull story", "3"]


def test_a_missing_field_is_named():
    with pytest.raises(DataError, match="field 'title'; the row has 'text', 'other'"):
        parse("{title}").pieces[0].render(ROW)
    with pytest.raises(DataError, match="field 'text', which the template needs, is None"):
        parse("{text}").pieces[0].render({"text": None})


def test_a_text_is_what_the_only_field_reads():
    assert parse("{prompt} {text} {mask} : {text}").row("dull") == {"text": "dull"}
    assert parse("{prompt} {text}").row(ROW) is ROW
    with pytest.raises(DataError, match=r"reads 2 fields \(text, other\); give a row"):
        parse("{text} {other}").row("dull")


def test_start_is_one_of_the_encoders_pieces():
    assert parse("{prompt}{start}{source}").pieces[1] == Start()
    for source in ("{start}{start}", "{decoder}{start}"):
        with pytest.raises(ConfigError, match="start"):
            parse(source)
