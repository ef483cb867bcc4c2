"""Second-moment thresholds, compared with tables, closed forms, and the full operator on all second moments."""

from __future__ import annotations

import math

import numpy as np
import pytest
from recurrences import history_operator, workers_operator
from slow import rest_is_slow
from tables import DIGITS, MEAN_SQUARE, RANDOM_ORDER, UNIFORM_MEAN_SQUARE, columns, pairs, rows

from hogwild import delays
from hogwild.theory import closed_forms
from hogwild.theory.moments import squared_norms
from hogwild.theory.random_order import random_order_closed_form
from hogwild.theory.stability import (
    RULES,
    mean_square_threshold,
    random_order_threshold,
    stationary_variance,
    threshold,
)

LAWS = {"constant": {2: 1.0}, "random": {0: 0.3, 1: 0.5, 2: 0.2}}


def largest(operator: np.ndarray) -> float:
    return float(np.abs(np.linalg.eigvals(operator)).max())


@pytest.mark.slow
def test_table_of_minibatch_noise():
    for delay, *values in rows(MEAN_SQUARE):
        for noise, k in zip((0.0, 0.1, 1.0, 10.0, 100.0), map(float, values), strict=True):
            found = mean_square_threshold("none", int(delay), noise=noise)
            assert found == pytest.approx(k, rel=0, abs=5.01e-9)
            assert closed_forms.mean_square(int(delay), noise) == pytest.approx(found, rel=1e-10)


def test_table_of_independent_delays():
    for last, k in pairs(UNIFORM_MEAN_SQUARE):
        assert mean_square_threshold("none", delays.uniform(1, last)) == pytest.approx(k, rel=0, abs=DIGITS)


@pytest.mark.slow
def test_table_of_random_worker_order():
    for delay, rule, momentum, k in columns(RANDOM_ORDER):
        found = random_order_threshold(rule, delay + 1, momentum, dampening=momentum)
        assert found == pytest.approx(k, rel=0, abs=5.01e-9), (rule, delay, momentum)


@pytest.mark.parametrize("noise", rest_is_slow([0.0, 0.1, 3.0], {0.1}))
def test_random_order_in_closed_form(noise):
    for workers in (1, 2, 5, 17, 65, 1000):
        exact = random_order_closed_form(workers, noise)
        assert random_order_threshold("none", workers, noise=noise) == pytest.approx(exact, rel=1e-6)
    one = random_order_threshold("none", 1, noise=noise)
    assert one == pytest.approx(mean_square_threshold("none", 0, noise=noise), rel=1e-9)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize(("ratio", "noise"), [(0.0, 0.5), (0.1, 2.0), (0.0, 0.0)])
def test_threshold_and_variance_against_all_second_moments(rule, law, ratio, noise):
    m, d = (0.0, 0.0) if rule == "none" else (0.6, 0.25)
    if rule == "dana" and law == "random":
        with pytest.raises(
            ValueError, match="dana in mean square: known for constant delay and for random worker order"
        ):
            mean_square_threshold(rule, LAWS[law], m, d, ratio, noise=noise)
        return
    edge = mean_square_threshold(rule, LAWS[law], m, d, ratio, noise=noise)
    assert edge < threshold(rule, LAWS[law], m, d, ratio) * (1 + 1e-12)
    for share in (0.3, 0.999, 1.001):
        operator, pulse = history_operator(rule, LAWS[law], share * edge, m, 1 - d, ratio, noise)
        assert (largest(operator) < 1) == (share < 1)
        found = stationary_variance(rule, LAWS[law], share * edge, m, d, ratio, noise=noise)
        if share < 1:
            assert found == pytest.approx(np.linalg.solve(np.eye(len(operator)) - operator, pulse)[0], rel=1e-7)
        else:
            assert found == math.inf


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("workers", rest_is_slow([1, 2, 3], {2}))
@pytest.mark.parametrize("noise", [0.0, 0.7])
def test_random_order_against_all_second_moments(rule, workers, noise):
    m, d = (0.0, 0.0) if rule == "none" else (0.6, 0.25)
    edge = random_order_threshold(rule, workers, m, d, noise=noise)
    for share in (0.2, 0.7, 0.999, 1.001):
        operator = workers_operator(rule, workers, share * edge, m, 1 - d, noise)
        assert (largest(operator) < 1) == (share < 1)


def test_variance_in_closed_form():
    for delay in (0, 1, 4, 16, 64, 200):
        for share in (0.1, 0.5, 0.9, 0.99):
            k = share * closed_forms.constant_delay("none", delay)
            assert stationary_variance("none", delay, k) == pytest.approx(closed_forms.variance(delay, k), rel=1e-8)


def test_variance_of_a_run():
    """200 runs of plain SGD with delay 2 and noise 1, in the steady state: 12,000 updates each."""
    rng, lr, delay = np.random.default_rng(0), 0.3, 2
    x = np.zeros((delay + 1, 200))
    total, steps = 0.0, 12_000
    for step in range(steps + 500):
        x = np.vstack([x[:1] - lr * (x[-1:] + rng.standard_normal((1, 200))), x[:-1]])
        total += float(np.mean(x[0] ** 2)) if step >= 500 else 0.0
    assert total / steps == pytest.approx(lr**2 * stationary_variance("none", delay, lr), rel=0.01)


def test_squared_norms():
    """1 / (1 - u / 2), u / (1 - u / 2) and 1 - u; and a denominator that is not stable."""
    assert squared_norms([np.ones(1), np.array([0.0, 1.0])], np.array([1.0, -0.5])) == pytest.approx([4 / 3, 4 / 3])
    assert squared_norms([np.array([1.0, -1.0])], np.ones(1)) == pytest.approx([2.0])
    assert squared_norms([np.ones(1)], np.array([1.0, -1.5])) == math.inf


def test_order_of_the_three_notions():
    """Mean square <= expectation; a constant delay is worse than a random one of the same mean, from 2 on."""
    for last in (5, 9, 21):
        law = delays.uniform(0, last - 1)
        first, square = threshold("none", law), mean_square_threshold("none", law)
        assert threshold("none", (last - 1) // 2) < square < first


def test_refusals():
    with pytest.raises(ValueError, match="noise q is -1; it must be >= 0"):
        mean_square_threshold("none", 1, noise=-1)
    with pytest.raises(ValueError, match="noise q is nan"):
        stationary_variance("none", 1, 0.1, noise=math.nan)
    with pytest.raises(ValueError, match="0 workers: at least 1 is needed"):
        random_order_threshold("none", 0)
    with pytest.raises(ValueError, match="rule none has no momentum"):
        random_order_threshold("none", 3, 0.9)
