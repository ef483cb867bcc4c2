"""The thresholds, compared with the update rules as a program runs them."""

from __future__ import annotations

import itertools
import math

import pytest
from recurrences import trajectory
from tables import GOLDEN, rows

from hogwild.theory.stability import radius, threshold

WINDOW = 200  # longer than one oscillation


def test_golden_trajectories():
    """They define the raw recurrence of these tests."""
    for rule, dampening, lr, decay, first_step, *expected in rows(GOLDEN):
        x = trajectory(rule, 3, float(lr), 0.9, float(dampening), float(decay), first_step=first_step)
        assert list(itertools.islice(x, len(expected))) == pytest.approx(list(map(float, expected)), abs=1e-12)


@pytest.mark.parametrize(
    ("rule", "lr", "size"),
    [("standard", 0.034, 3e-9), ("standard", 0.036, 2e13), ("shifted", 0.062, 1e-5), ("shifted", 0.066, 1e2)],
)
def test_golden_trajectories_end_as_the_threshold_says(rule, lr, size):
    x = trajectory(rule, 3, lr, 0.9, first_step="torch")
    ends = [abs(value) for value in itertools.islice(x, 19_900, 20_001)]
    assert max(ends) == pytest.approx(size, rel=2.0)
    assert (lr < threshold(rule, 3, 0.9)) == (size < 1)


@pytest.mark.parametrize("rule", ["none", "standard", "shifted", "nesterov", "dana"])
@pytest.mark.parametrize("delay", [0, 1, 3, 7])
@pytest.mark.parametrize("ratio", [0.0, 0.1])
def test_growth_around_the_threshold(rule, delay, ratio):
    """At 0.99 and 1.01 of the threshold |x| changes by the computed radius per update."""
    momentum = 0.0 if rule == "none" else 0.8
    edge = threshold(rule, delay, momentum, 0.3 if momentum else 0.0, ratio)
    for share in (0.99, 1.01):
        arguments = (momentum, 0.3 if momentum else 0.0, ratio)
        rate = radius(rule, delay, share * edge, *arguments)
        assert (rate > 1) == (share > 1)
        span = math.ceil(10 / abs(math.log(rate)))
        x = trajectory(rule, delay, share * edge, *arguments)
        x = [abs(value) for value in itertools.islice(x, 2 * span + WINDOW)]
        growth = math.log(max(x[-WINDOW:]) / max(x[span : span + WINDOW])) / span
        assert growth == pytest.approx(math.log(rate), rel=0.08)
