from __future__ import annotations

from hogwild.cli.columns import columns

ROWS = [("a", "one two three four five six seven"), ("--long", "eight")]


def test_texts_stand_beside_names_and_go_on_below_themselves():
    lines = list(columns(ROWS, indent=2, width=40))
    assert lines == ["  a      one two three four five six", "         seven", "  --long eight"]


def test_on_a_narrow_terminal_texts_stand_below_long_names():
    assert list(columns(ROWS, width=20)) == ["a one two three four", "  five six seven", "--long", "  eight"]


def test_a_pipe_has_a_line_for_each_name():
    assert list(columns(ROWS, names=8)) == ["a        one two three four five six seven", "--long   eight"]
