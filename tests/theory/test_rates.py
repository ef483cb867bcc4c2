"""Learning rates for a delay, the fastest one, and the length of an escape."""

from __future__ import annotations

import math

import numpy as np
import pytest
from recurrences import trajectory
from tables import ESCAPE, pairs, rows

from hogwild import delays
from hogwild.theory.stability import (
    RULES,
    escape_steps,
    fastest,
    learning_rate,
    mean_square_threshold,
    radius,
    threshold,
)


def test_factors_without_momentum():
    """sin(pi / (2 (2 tau + 1))): exact and effective agree, the paper's 1/tau is up to twice as large."""
    table = "1 .500000000 2 .309016994 4 .173648178 8 .092268359 16 .047581916 32 .024163745 64 .012176415"
    for (delay, factor), over in zip(pairs(table), (2.00, 1.62, 1.44, 1.35, 1.31, 1.29, 1.28), strict=True):
        found = learning_rate(2.0, delay)
        assert found.exact == pytest.approx(2 * factor, rel=0, abs=2e-9)
        assert found.effective == pytest.approx(found.exact, rel=1e-12)
        assert found.paper == 2.0 / delay
        assert found.paper / found.exact == pytest.approx(over, abs=5e-3)
        assert (found.sync, found.delay_mean) == (2.0, delay)


def test_factors_with_momentum():
    """From momentum 0.9 without delay to delay 32: 1/935, 1/619, and 1/78.6 if momentum is dropped."""
    for rule, factor in (("standard", 935), ("shifted", 619)):
        assert 1 / learning_rate(1.0, 32, 0.9, rule=rule).exact == pytest.approx(factor, abs=0.5)
    dropped = learning_rate(1.0, 32, sync_momentum=0.9)
    assert 1 / dropped.exact == pytest.approx(78.6, abs=0.05)
    assert dropped.effective == pytest.approx(10 * learning_rate(1.0, 32).effective)


def test_shifted_and_dampened_is_one_over_the_workers():
    """lr_sync / N stays below the threshold up to delay 55 (m = 0.9), 115 (0.95) and 595 (0.99), then is 1 % over."""
    for momentum, last in ((0.9, 55), (0.95, 115), (0.99, 595)):
        for delay in (1, 8, last, last + 1):
            found = learning_rate(1.0, delay, momentum, momentum, "shifted").effective
            assert (1 / (delay + 1) <= found) == (delay <= last)
            assert found > 0.98 / (delay + 1)


def test_random_delay_takes_the_mean_square_threshold():
    law = delays.geometric(8)
    found = learning_rate(0.5, law)
    assert found.paper == pytest.approx(0.5 / 7)
    assert found.exact == pytest.approx(0.25 * mean_square_threshold("none", law))
    assert found.exact < 0.5 < 0.25 * threshold("none", law)
    constant = learning_rate(0.5, 8, 0.9, rule="dana")
    assert learning_rate(0.5, delays.normal(8), 0.9, rule="dana").exact == pytest.approx(constant.exact)


def test_without_delay_nothing_changes():
    assert (learning_rate(0.1, 0).exact, learning_rate(0.1, 0).paper) == (pytest.approx(0.1), 0.1)
    for rule in RULES[1:]:
        assert learning_rate(0.1, 0, 0.9, rule=rule).exact == pytest.approx(0.1)


def test_the_learning_rate_keeps_the_edge():
    """A minimum at the edge of the synchronous run is at the edge of the run with delay."""
    for rule in RULES[1:]:
        curvature = threshold(rule, 0, 0.9) / 0.1
        lr = learning_rate(0.1, 6, 0.9, rule=rule).exact
        assert radius(rule, 6, curvature * lr, 0.9) == pytest.approx(1.0, abs=1e-9)


def test_fastest_table():
    table = "1 .25 2 .148148 4 .081920 8 .043305 16 .022299 32 .011320 64 .005704"
    for delay, k in pairs(table):
        found = fastest("none", delay)
        assert found.k == pytest.approx(k, abs=5e-7)
        assert found.rate == delay / (delay + 1)
        assert radius("none", delay, found.k) == pytest.approx(found.rate, abs=1e-6)
    assert (fastest("none", 0).k, fastest("none", 0).rate) == (1.0, 0.0)


@pytest.mark.parametrize(("rule", "delay"), [("none", {1: 0.5, 2: 0.5}), *((rule, 3) for rule in RULES[1:])])
def test_nothing_is_faster(rule, delay):
    momentum = 0.0 if rule == "none" else 0.5
    found = fastest(rule, delay, momentum)
    scan = np.linspace(1e-4, 1, 400) * threshold(rule, delay, momentum)
    assert found.rate < min(radius(rule, delay, k, momentum) for k in scan) + 1e-5
    assert found.rate == pytest.approx(radius(rule, delay, found.k, momentum))


def test_heavy_ball_without_delay():
    """The optimum of heavy ball: rate sqrt(m), from k = (1 - sqrt m)^2 on."""
    found = fastest("standard", 0, 0.81)
    assert found.rate == pytest.approx(0.9, abs=1e-6)


def test_escape_table():
    for delay, *values in rows(ESCAPE):
        edge = threshold("none", int(delay))
        for share, rate in zip((1.02, 1.05, 1.1, 1.25, 1.5, 2.0), map(float, values), strict=True):
            assert radius("none", int(delay), share * edge) == pytest.approx(rate, rel=0, abs=5.01e-9)
    assert escape_steps("none", 32, 1.1 * threshold("none", 32)) == pytest.approx(2202, abs=0.5)
    assert escape_steps("none", 32, 0.99 * threshold("none", 32)) == math.inf


def test_escape_of_a_run():
    """From x = 1e-3 it takes about as many updates as estimated until the loss has grown a million-fold."""
    k = 1.1 * threshold("shifted", 4, 0.9)
    estimate = escape_steps("shifted", 4, k, 0.9, growth=1e6)
    steps = next(step for step, x in enumerate(trajectory("shifted", 4, k, 0.9)) if abs(x) > 1e3)
    assert steps == pytest.approx(estimate, rel=0.1)


def test_refusals():
    with pytest.raises(ValueError, match="the synchronous learning rate is -1; it must be > 0"):
        learning_rate(-1.0, 3)
    with pytest.raises(ValueError, match=r"momentum 2 is not in \[0, 1\)"):
        learning_rate(1.0, 3, sync_momentum=2.0)
    with pytest.raises(ValueError, match="growth 1 is not > 1"):
        escape_steps("none", 1, 2.0, growth=1.0)
    with pytest.raises(ValueError, match="rule none has no momentum"):
        fastest("none", 1, 0.9)
