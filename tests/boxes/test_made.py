"""What is made of a run, and what is left of it."""

from __future__ import annotations

from hogwild.boxes.made import Made


def test_ranges_are_joined():
    made = Made.of([(7, 9), (0, 3), (2, 5), (5, 6), (12, 12)])
    assert made.ranges == ((0, 6), (7, 9))
    assert made | Made.of([(6, 7)]) == Made.of([(0, 9)])
    assert made.count == 8
    assert Made.of_text(made.text()) == made
    assert Made.of_text(Made().text()) == Made()


def test_what_is_left_comes_in_blocks():
    made = Made.of([(0, 6), (7, 9), (14, 40)])
    assert made.left(16, 3) == [(6, 1), (9, 3), (12, 2)]
    assert made.left(43, 2) == [(6, 1), (9, 2), (11, 2), (13, 1), (40, 2), (42, 1)]
    assert made.left(5, 3) == []
    assert Made().left(5, 3) == [(0, 3), (3, 2)]
