"""Axes, thinned lines, and statistics of few seeds."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

from hogwild.report import seeds
from hogwild.report.scale import Scale, number, thinned


def test_thinned_lines_keep_their_ends_and_extremes():
    """Among 100,000 values the one peak is kept, and so is a place without a number."""
    values = [random.Random(3).random() for _ in range(100_000)]
    values[54_321], values[77_777] = 9.0, math.nan
    kept = thinned([(float(k), value) for k, value in enumerate(values)], columns=300)
    assert len(kept) < 4 * 300 + 10
    assert (54_321.0, 9.0) in kept
    assert any(math.isnan(y) for _, y in kept)
    assert kept[0] == (0.0, values[0])
    assert kept[-1] == (99_999.0, values[-1])
    assert [x for x, _ in kept] == sorted({x for x, _ in kept})
    assert thinned([(0.0, 1.0), (1.0, 2.0)]) == [(0.0, 1.0), (1.0, 2.0)]


@pytest.mark.parametrize("low", [-3.7e4, -2.1, 0.0, 1e-7, 0.97, 1234.5])
@pytest.mark.parametrize("span", [1e-9, 0.031, 1.0, 7.7, 5e6])
def test_ticks_are_few_round_and_inside(low: float, span: float):
    span = max(span, 1e-9 * abs(low))  # a float cannot hold much smaller differences
    scale = Scale(low, low + span)
    ticks = scale.ticks()
    assert 2 <= len(ticks) <= 6
    assert all(low - 1e-9 * span <= tick <= low + span * (1 + 1e-9) or abs(tick) < 1e-12 for tick in ticks)


def test_a_log_axis():
    scale = Scale.of([0.003, 20.0, math.nan, 0.0], log=True)
    assert scale.ticks() == pytest.approx([0.01, 0.1, 1.0, 10.0])
    assert scale.place(0.003 * math.sqrt(20 / 0.003)) == pytest.approx(0.5)
    assert math.isnan(scale.place(0.0))


def test_constant_and_absent_series_have_an_axis():
    assert Scale.of([2.0, 2.0]).ticks()
    assert Scale.of([0.0]).ticks()
    assert Scale.of([]).ticks()


@pytest.mark.parametrize(
    "values", [(1e-14, 5e-14), (-1e300, 1e300), (1.0, 1e308), (5e-324, 1e-323), (0.0, 1e-320)], ids=str
)
@pytest.mark.parametrize("log", [False, True])
def test_ticks_of_very_small_and_very_large_numbers_differ(values: tuple[float, float], log: bool):
    ticks = Scale.of(values, log=log).ticks()
    assert len({number(tick) for tick in ticks}) == len(ticks) >= 2
    assert all(map(math.isfinite, ticks))
    assert math.isnan(Scale.of(values, log=log).place(1e308)), "it lies beyond every axis"


def test_numbers_are_short():
    shown = [number(value) for value in (0, 0.12345, 1234.5, 123456, 3.3e7, 2e-5, -7.5, math.nan)]
    assert shown == ["0", "0.1235", "1234", "123.5k", "33M", "2e-05", "-7.5", "no number"]


def test_intervals_are_those_of_student():
    """For 2, 3, 5 normal values the interval covers the mean in 95 % of 20,000 draws."""
    generator = np.random.default_rng(1)
    for count in (2, 3, 5):
        draws = generator.normal(3.0, 2.0, (4000, count))
        covered = [abs(mean - 3.0) <= half for mean, half in map(seeds.interval, draws.tolist())]
        assert 0.94 < np.mean(covered) < 0.96
    assert math.isnan(seeds.interval([1.0])[1])


def test_sign_flips_are_exact():
    assert seeds.sign_flips([1.0, 1.0, 1.0]) == 0.25
    assert seeds.sign_flips([1.0] * 6) == 2 / 64
    assert seeds.sign_flips([1.0, -1.0]) == 1.0
    assert seeds.sign_flips([3.0, 1.0, -1.0]) == 6 / 8  # all but those in which the small ones oppose the large one


def test_three_seeds_have_no_p_value():
    assert seeds.verdict([0.1, 0.2, -0.1]).startswith("better in 2 of 3, +0.0667 ± ")
    assert "p =" not in seeds.verdict([0.1] * 5)
    assert seeds.verdict([0.1] * 6).endswith("p = 0.031")
    assert seeds.verdict([]) == "no seed in common"
