"""hogwild recommend: the nearest measured setting, its ranking, and what it says where none is near."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from hogwild.cli import recommend
from hogwild.recommend.answer import answer
from hogwild.recommend.rows import PACKAGED, Measured, from_csv, packaged, to_csv
from hogwild.recommend.situation import KNOWN, Asked, compared, nearest, ranked

ROW = Measured("a.csv", "split, unequal", 8, "gamma:cv=0.1,het=0.6", True, 0.0, 0.5, "asgd", 0.1, 3,
               "test accuracy of 0.8", 90.0, 0.81, 8.0)  # fmt: skip
SPLIT = [
    ROW,
    replace(ROW, method="ssgd", time=None, score=0.79, bytes=7.0),
    replace(ROW, method="ia2sgd", time=40.0, score=0.85),
    replace(ROW, method="area period=4", time=60.0, score=0.84, bytes=3.0),
    replace(ROW, method="area period=16", time=50.0, score=0.83, bytes=1.5),
]
SAME = [replace(ROW, source="b.csv", setting="same", split=False, method=name, target="", time=None, score=score,
                bytes=None, delay_cv=0.1) for name, score in (("asgd", 0.8), ("dana-slim", 0.9))]  # fmt: skip
ASKED = Asked(8, split=True, delay_cv=0.5)


def test_rows_are_read_as_they_were_written():
    assert from_csv(to_csv([*SPLIT, *SAME])) == [*SPLIT, *SAME]


def test_the_first_two_are_the_fastest_algorithms_each_once():
    assert [row.method for row in ranked(SPLIT, ASKED)] == ["ia2sgd", "area period=16", "asgd", "ssgd"]
    assert [row.method for row in ranked(SAME, ASKED)] == ["dana-slim", "asgd"]
    assert [row.method for row in ranked(SPLIT, replace(ASKED, bytes=3.0))] == ["area period=16"]


def test_a_setting_is_near_within_its_bounds():
    assert compared(SPLIT, ASKED).is_near
    assert compared(SPLIT, replace(ASKED, workers=16)).is_near
    for asked, said in (
        (replace(ASKED, workers=17), "it has 8 workers, not 17"),
        (replace(ASKED, split=False), "its workers have different data"),
        (replace(ASKED, latency=1.0), "a message takes 0 times a gradient there, not 1"),
        (replace(ASKED, delay_cv=0.1), "delays vary by 0.50 of their mean there, not by 0.10"),
    ):
        assert list(compared(SPLIT, asked).differs) == [said]


def test_the_answer_has_the_numbers_of_the_first_two_and_of_what_is_known():
    lines = answer([*SAME, *SPLIT], ASKED).splitlines()
    assert lines[0].startswith("measured in: split, unequal")
    assert lines[1].startswith("1. ia2sgd (lr 0.1): a test accuracy of 0.8 after 40.0 times a gradient")
    assert lines[2].startswith("2. area period=16")
    assert [line.strip().partition(" ")[0] for line in lines[3:]] == ["asgd", "ssgd"]
    assert "never reached" in lines[4]


def test_it_says_where_no_row_is_near():
    text = answer([*SAME, *SPLIT], Asked(100, split=True, latency=9.0, delay_cv=0.5))
    assert text.startswith(
        "no measured setting is near; of the nearest one, it has 8 workers, not 100 and a message takes"
    )
    assert "what follows is a guess" in text


def test_it_says_where_bytes_leave_nothing():
    assert "the least is area period=16 with 1.5" in answer(SPLIT, replace(ASKED, bytes=1.0))
    assert answer(SPLIT, replace(ASKED, bytes=3.0)).endswith("3 methods are left out: they move more than 3 bytes a "
                                                             "parameter and gradient")  # fmt: skip


def test_a_table_with_times_goes_before_one_with_scores():
    assert nearest([*[replace(row, split=True, delay_cv=0.5) for row in SAME], *SPLIT], ASKED).rows[0].source == "a.csv"


@pytest.mark.parametrize(("lacks", "wins"), [(2, "d.csv"), (1, "d.csv"), (0, "c.csv")])
def test_what_a_setting_lacks_counts_as_distance(lacks: int, wins: str):
    """Beside the setting that is asked for, without known methods or tuned rates, there is a near one with both."""
    lacking = [
        [row for row in SPLIT if row.algorithm not in KNOWN],
        [replace(row, setting="x, rates not tuned") for row in SPLIT],
        SPLIT,
    ][2 - lacks]
    very = [replace(row, source="c.csv") for row in lacking]
    near = [replace(row, source="d.csv", workers=9) for row in SPLIT]
    assert nearest([*very, *near], ASKED).rows[0].source == wins
    assert nearest([*very, *[replace(row, workers=17) for row in near]], ASKED).rows[0].source == "c.csv", "far away"


def test_a_setting_with_a_known_method_goes_before_one_without():
    apart = [replace(row, source="c.csv") for row in SPLIT if row.algorithm not in KNOWN]
    scores = [replace(row, split=True) for row in SAME]  # neither times nor the delays that are asked for
    assert nearest([*apart, *scores], replace(ASKED, delay_cv=0.3)).rows[0].source == "b.csv"
    assert nearest([*apart, *scores], ASKED).rows[0].source == "c.csv", "the other one is not near"


def test_where_bytes_are_asked_for_a_setting_has_them():
    apart = [replace(row, source="c.csv") for row in SPLIT if row.algorithm not in KNOWN]
    scores = [replace(row, split=True, delay_cv=0.5) for row in SAME]
    assert nearest([*apart, *scores], ASKED).rows[0].source == "b.csv"
    assert nearest([*apart, *scores], replace(ASKED, bytes=2.0)).rows[0].source == "c.csv"


def test_tuned_rates_stand_in_place_of_the_one_rate_for_all():
    equal = [row for row in packaged() if row.setting.startswith("same data, equal speeds")]
    sources = {(row.workers, row.setting.endswith("rates not tuned"), row.source) for row in equal}
    comparison, tuned = "comparison-fashion-mnist.csv", "tuned-fashion-mnist.csv"
    assert sources == {(8, False, tuned), (32, False, tuned)} | {(n, True, comparison) for n in (4, 16, 64)}
    lrs = {row.workers: row.lr for row in equal if row.source == tuned and row.algorithm == "asgd"}
    assert lrs[8] > lrs[32]


@pytest.mark.parametrize(("workers", "said"), [(8, "same data, equal speeds (8"), (16, "speeds, rates not tuned (16")])
def test_the_answer_says_where_rates_are_not_tuned(workers: int, said: str):
    assert said in answer(packaged(), Asked(workers)).splitlines()[0]


def test_the_command_reads_the_packaged_rows(capsys):
    assert recommend.main(["--workers", "8", "--data-split", "yes", "--delay", "uniform:1:13"]) == 0
    assert "1. " in capsys.readouterr().out
    assert recommend.variation("const:7") == 0
    assert recommend.variation("uniform:1:13") == pytest.approx(14**0.5 / 7)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--workers", "0"], "--workers 0: it must be at least 1"),
        (["--workers", "4", "--latency", "-1"], "--latency -1: it must be a number >= 0"),
        (["--workers", "4", "--delay", "often"], "delay 'often' is not known"),
    ],
)
def test_bad_options_give_one_line(argv: list[str], message: str, capsys):
    assert recommend.main(argv) == 2
    assert message in capsys.readouterr().err


def test_rows_and_page_are_those_of_the_tables(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "tools"))
    import measured_rows

    monkeypatch.delitem(sys.modules, "measured_rows")
    text = to_csv(measured_rows.measured())
    assert text == PACKAGED.read_text(), "run: python tools/measured_rows.py"
    assert measured_rows.page(from_csv(text), measured_rows.claims()) == measured_rows.PAGE.read_text()
    assert packaged() == from_csv(text)
