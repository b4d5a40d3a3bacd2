"""What others wrote into a card does a terminal no harm."""

import math

from promptgraft.cli import terminal


def test_control_characters_and_directions_are_shown_not_obeyed(capsys):
    evil = "\x1b]0;title\x07\x1b[31mred\r\x00\u202egnp"
    terminal.print_facts([("Notes", f"{evil}\nsecond"), ("Task", "höhe 高さ")])
    terminal.print_table(("NAME",), [(evil,)])
    out = capsys.readouterr().out
    assert not set(out) & set("\x1b\x07\r\x00\u202e")
    assert "\\x1b[31mred" in out
    assert "höhe 高さ" in out
    assert len(out.splitlines()) == 5


def test_fields_end():
    shown = terminal.harmless("x" * 500_000)
    assert len(shown) < 2100
    assert shown.endswith("… (500,000 characters)")


def test_a_curve_with_gaps():
    assert terminal.sparkline([0.0, math.nan, 7.0, math.inf]) == "▁█"
    assert terminal.sparkline([math.nan]) == ""
