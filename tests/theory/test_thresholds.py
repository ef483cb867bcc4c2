"""First-moment thresholds, compared with tables, closed forms, the roots, and the expectation by enumeration."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tables import (
    COLUMNS,
    DAMPENED,
    DIGITS,
    GAUSSIAN,
    METHODS,
    UNDAMPENED,
    UNIFORM_FROM_0,
    UNIFORM_FROM_1,
    WEIGHT_DECAY,
    columns,
    pairs,
    rows,
)

from hogwild import delays
from hogwild.theory import closed_forms, stability
from hogwild.theory.crossing import first_crossing
from hogwild.theory.stability import RULES, radius, threshold

MOMENTA = [(rule, m) for rule in RULES for m in ((0.0,) if rule == "none" else (0.0, 0.5, 0.9, 0.95))]


def test_tables_of_undampened_momentum():
    for delay, rule, momentum, k in columns(UNDAMPENED):
        assert threshold(rule, delay, momentum) == pytest.approx(k, rel=0, abs=DIGITS), (rule, delay, momentum)


def test_tables_of_dampened_momentum():
    for delay, rule, momentum, k in columns(DAMPENED):
        assert threshold(rule, delay, momentum, dampening=momentum) == pytest.approx(k, rel=0, abs=DIGITS)


def test_table_of_methods():
    for delay, rule, *values in rows(METHODS):
        for momentum, k in zip((0.0, 0.5, 0.9, 0.95, 0.99), map(float, values), strict=True):
            assert threshold(rule, int(delay), momentum, momentum) == pytest.approx(k, rel=0, abs=5.01e-7)


def test_tables_of_random_delay():
    for largest, k in pairs(UNIFORM_FROM_1):
        assert threshold("none", delays.uniform(1, largest)) == pytest.approx(k, rel=0, abs=DIGITS)
        assert closed_forms.uniform_delay(largest) == pytest.approx(k, rel=0, abs=DIGITS)
    for largest, k in pairs(UNIFORM_FROM_0):
        assert threshold("none", delays.uniform(0, largest)) == pytest.approx(k, rel=0, abs=DIGITS)


def test_table_of_the_discrete_gaussian():
    for center, printed, k in rows(GAUSSIAN):
        law = delays.normal(int(center))
        assert threshold("none", law) == pytest.approx(float(k), rel=0, abs=DIGITS)
        mass = math.erf((int(center) + 0.5) / math.sqrt(2)) / 2 + math.erf((int(center) - 0.5) / math.sqrt(2)) / 2
        assert threshold("none", law) / mass == pytest.approx(float(printed), rel=0, abs=DIGITS)


def test_table_of_weight_decay():
    for rule, momentum, delay, *values in rows(WEIGHT_DECAY):
        for ratio, k in zip((0.0, 0.01, 0.1), map(float, values), strict=True):
            found = threshold(rule, int(delay), float(momentum), weight_decay=ratio)
            assert found == pytest.approx(k, rel=0, abs=DIGITS)


def test_geometric_delay_is_stable_in_expectation_almost_always():
    for workers in (2, 3, 8, 33):
        assert threshold("none", delays.geometric(workers)) == pytest.approx(4 * workers - 2, rel=1e-9)


@pytest.mark.parametrize(("rule", "momentum"), [c for c in COLUMNS if c[0] in ("none", "standard", "shifted")])
def test_closed_form_and_crossing_agree(rule, momentum):
    for delay in (*range(20), 37, 63, 100, 255, 400):
        for dampening in (0.0, momentum):
            exact = closed_forms.constant_delay(rule, delay, momentum, dampening)
            assert threshold(rule, delay, momentum, dampening) == pytest.approx(exact, rel=1e-11)


@pytest.mark.slow
def test_constants_of_long_delays():
    """k_d (2 tau + 1) -> 2 acos(m) sqrt(1 - m^2) / (1 - m) for shifted momentum; standard adds m / (1 - m) of delay."""
    for momentum, constant in ((0.0, math.pi), (0.5, 3.6276), (0.9, 3.9320), (0.95, 3.9663)):
        assert threshold("shifted", 1000, momentum, momentum) * 2001 == pytest.approx(constant, rel=5e-3)
        longer = 1000 + momentum / (1 - momentum)
        assert threshold("standard", 1000, momentum, momentum) == pytest.approx(math.pi / (2 * longer + 1), rel=2e-3)
    assert threshold("none", delays.uniform(1, 1000)) * 2000 == pytest.approx(math.pi**2, rel=5e-3)


def test_slopes_of_the_inverse_threshold():
    """The growth of 1 / k_d per unit of delay, from 1 to 32 (figs. 4, 6 and 10)."""
    for rule, momentum, slope in (("none", 0.0, 0.635), ("standard", 0.9, 0.762), ("shifted", 0.9, 0.509)):
        short, long = (1 / threshold(rule, delay, momentum, momentum) for delay in (1, 32))
        assert (long - short) / 31 == pytest.approx(slope, abs=5e-4), rule


def test_means_of_the_discrete_gaussian():
    for center, mass, mean in ((1, 0.624655, 1.386982), (2, 0.926983, 2.130741), (3, 0.993558, 3.018047)):
        assert delays.mean(delays.normal(center)) == pytest.approx(mean, abs=5e-7)
        whole = (math.erf((center + 0.5) / math.sqrt(2)) + math.erf((center - 0.5) / math.sqrt(2))) / 2
        assert whole == pytest.approx(mass, abs=5e-7)


@pytest.mark.parametrize("rule", ["nesterov", "dana"])
def test_nesterov_without_delay(rule):
    for momentum in (0.0, 0.5, 0.9):
        assert threshold(rule, 0, momentum) == pytest.approx((2 + 2 * momentum) / (1 + 2 * momentum), rel=1e-12)
    with pytest.raises(ValueError, match=f"rule {rule} has no closed form"):
        closed_forms.constant_delay(rule, 3, 0.9)


@pytest.mark.parametrize(("rule", "momentum"), MOMENTA)
def test_the_largest_root_reaches_the_circle_at_the_threshold_and_not_before(rule, momentum):
    for delay in (0, 1, 2, 3, 7, 20, 50):
        k = threshold(rule, delay, momentum)
        assert radius(rule, delay, k, momentum) == pytest.approx(1.0, abs=1e-9)
        assert radius(rule, delay, 1.001 * k, momentum) > 1.0
        assert all(radius(rule, delay, share * k, momentum) < 1.0 for share in (0.1, 0.3, 0.6, 0.9, 0.999))


@pytest.mark.parametrize("rule", RULES)
@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    weights=st.dictionaries(st.integers(0, 24), st.integers(1, 5), min_size=1, max_size=6),
    momentum=st.sampled_from([0.0, 0.3, 0.9, 0.98]),
    ratio=st.sampled_from([0.0, 0.05]),
)
def test_no_crossing_is_missed_under_random_delay(rule, weights, momentum, ratio):
    momentum = 0.0 if rule == "none" else momentum
    law = delays.normalise(weights)
    k = threshold(rule, law, momentum, weight_decay=ratio)
    assert all(
        radius(rule, law, share * k, momentum, weight_decay=ratio) < 1.0 for share in np.linspace(0.02, 0.998, 25)
    )
    assert radius(rule, law, k, momentum, weight_decay=ratio) == pytest.approx(1.0, abs=1e-7)


def test_two_crossings_inside_one_step_of_the_grid():
    """Q = 1 and B with Re w / cos(th/2) = 4 (cos th + 0.3)^2 - tiny: two zeros 1e-4 apart, a hundredth of a step."""
    for tiny, is_crossed in ((1e-8, True), (-1e-8, False)):
        feedback = np.array([0.0, 3.56 - tiny, 2.2, 1.0])
        k = first_crossing(np.ones(1), feedback)
        roots = np.roots(np.polynomial.polynomial.polyadd([1.0, -1.0], k * feedback))
        assert min(abs(abs(roots) - 1)) < 1e-9
        assert (k < 0.8) == is_crossed
        if is_crossed:
            assert min(abs((1 / roots).real + 0.3)) < 1e-4


def expectation(
    rule: str, law: dict[int, float], k: float, m: float, c: float, ratio: float, steps: int
) -> list[float]:
    """E x_t by enumeration of all delay sequences; a worker's buffer is the one that produced its snapshot."""
    mean = np.zeros(steps + 1)
    for drawn in itertools.product(law.items(), repeat=steps):
        x, v, total, look = [1.0], [0.0], 0.0, [1.0]
        for t, (delay, _) in enumerate(drawn):
            read = max(t - delay, 0)
            is_private = rule in ("shifted", "dana")
            old = v[read] if is_private else v[-1]
            g = c * k * (look[read] + ratio * x[-1])
            v.append(m * old + g)
            total += v[-1] - old
            x.append(x[-1] - (g + m * v[-1] if rule == "nesterov" else v[-1]))
            look.append(x[-1] - m * total if rule == "dana" else x[-1])
        mean += math.prod(probability for _, probability in drawn) * np.array(x)
    return list(mean)


@pytest.mark.parametrize("rule", RULES)
def test_the_expectation_under_random_delay_obeys_the_polynomial(rule):
    """After the first delays, E x_t over all delay sequences satisfies the recurrence of the polynomial."""
    law, m, d, ratio, steps = {0: 0.3, 1: 0.5, 2: 0.2}, 0.6, 0.25, 0.1, 9
    if rule == "none":
        m = d = 0.0
    k = 0.2
    x = expectation(rule, law, k, m, 1 - d, ratio, steps)
    coefficients = stability.characteristic(rule, law, k, m, d, ratio)
    degree = len(coefficients) - 1
    for t in range(degree + 1, steps + 1):
        assert coefficients @ x[t - degree : t + 1][::-1] == pytest.approx(0.0, abs=1e-12)
    assert steps - degree >= 3


def test_polynomials_of_the_paper():
    """z^{tau+1} - z^tau + k (eq. 5); standard (eq. 25) and shifted (eq. 11) momentum."""
    k, m, c = 0.3, 0.9, 0.5
    same = np.testing.assert_allclose
    same(stability.characteristic("none", 3, k), [1, -1, 0, 0, k])
    same(stability.characteristic("standard", 3, k, m, c), [1, -1 - m, m, 0, c * k])
    same(stability.characteristic("shifted", 3, k, m, c), [1, -1, 0, 0, c * k - m, m])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("heavy", 1), "rule 'heavy' is none of none, standard, shifted, nesterov, dana"),
        (("none", -1), "delay -1 is negative"),
        (("none", 1, 0.9), "rule none has no momentum"),
        (("standard", 1, 1.0), r"momentum 1 is not in \[0, 1\)"),
        (("standard", 1, 0.5, -0.1), r"dampening -0.1 is not in \[0, 1\)"),
        (("none", 1, 0.0, 0.0, -1.0), "weight decay / curvature is -1; it must be >= 0"),
        (("none", {}), "delays must be integers >= 0, at least one"),
        (("none", {0: 10, 3: 30}), "sum to 1; they sum to 40"),
        (("none", {0: 1.5, 3: -0.5}), "must be >= 0 and sum to 1"),
        (("none", {0.5: 1.0}), "delays must be integers"),
    ],
)
def test_refusals(arguments, message):
    with pytest.raises(ValueError, match=message):
        threshold(*arguments)


def test_theory_needs_no_torch():
    code = "import sys, hogwild.theory.stability, hogwild.delays; assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
