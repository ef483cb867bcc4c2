"""Synchronous EASGD with noise, compared with tables and with the moments of the whole recursion of p workers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from elastic_tables import BEST_RATE, FINITE, NEGATIVE, STATIONARY, VARIANCES, agrees, groups, rows

from hogwild.theory import synchronous as sync


def step(p: int, k: float, alpha: float) -> np.ndarray:
    """The map of (x_1 ... x_p, center)."""
    matrix = np.diag([1 - k - alpha] * p + [1 - p * alpha])
    matrix[:-1, -1] = matrix[-1, :-1] = alpha
    return matrix


def covariance(p: int, k: float, alpha: float, steps: int) -> np.ndarray:
    """E of (x, center) (x, center)^T in units of (lr s)^2 after `steps` steps."""
    matrix, noise, found = step(p, k, alpha), np.diag([1.0] * p + [0.0]), np.zeros((p + 1, p + 1))
    for _ in range(steps):
        found = matrix @ found @ matrix.T + noise
    return found


def test_table_of_the_steady_state():
    for p, gamma, phi, *texts in rows(STATIONARY):
        alpha = 0.9 / int(p)
        found = sync.roots(0.1, alpha, 0.9)
        assert agrees(found[0].real, gamma)
        assert agrees(found[1].real, phi)
        rest = sync.stationary(int(p), 0.1, alpha)
        for value, text in zip((rest.center, rest.mean, rest.worker, rest.covariance), texts, strict=True):
            assert agrees(0.01 * value, text)
    for k, beta, text in groups(VARIANCES, 3):
        assert agrees(float(k) ** 2 * sync.stationary(4, float(k), float(beta) / 4).center, text)


def test_table_of_finite_times():
    for steps, mean, variance in groups(FINITE, 3):
        assert agrees(sync.center_mean(int(steps), 0.1, 0.225, [1.0] * 4, 1.0), mean)
        assert agrees(0.1**2 * 10 * sync.center_variance(int(steps), 4, 0.1, 0.225), variance)


def test_steady_state_by_the_recursion():
    for p, k, alpha in ((1, 0.3, 0.4), (3, 0.2, 0.25), (5, 0.7, 0.02)):
        rest, full = sync.stationary(p, k, alpha), covariance(p, k, alpha, 3000)
        assert rest.center == pytest.approx(full[-1, -1], rel=1e-9)
        assert rest.mean == pytest.approx(full[:-1, :-1].mean(), rel=1e-9)
        assert rest.worker == pytest.approx(full[0, 0], rel=1e-9)
        if p > 1:
            assert rest.covariance == pytest.approx(full[0, 1], rel=1e-9)


def test_finite_times_by_the_recursion():
    rng = np.random.default_rng()
    p, k, alpha = 3, 0.25, 0.2
    replicas, center = rng.normal(size=p), float(rng.normal())
    state = np.append(replicas, center)
    for steps in (0, 1, 2, 7):
        expected = (np.linalg.matrix_power(step(p, k, alpha), steps) @ state)[-1]
        assert sync.center_mean(steps, k, alpha, replicas.tolist(), center) == pytest.approx(expected, abs=1e-12)
        if steps:
            expected = covariance(p, k, alpha, steps)[-1, -1]
            assert sync.center_variance(steps, p, k, alpha) == pytest.approx(expected, abs=1e-12)


def test_stability_is_that_of_the_recursion():
    rng = np.random.default_rng()
    seen = set()
    for p, k, alpha in zip(rng.integers(1, 6, 60), rng.uniform(0.05, 2.5, 60), rng.uniform(0.02, 0.8, 60), strict=True):
        is_stable = bool(max(abs(np.linalg.eigvalsh(step(p, k, alpha)))) < 1)
        assert sync.is_stable(int(p), k, alpha) == is_stable, (p, k, alpha)
        seen.add(is_stable)
    assert seen == {True, False}


def test_many_workers():
    assert agrees(sync.many_workers(0.1, 0.9), "0.0515799989")
    assert agrees(10**6 * 0.01 * sync.stationary(10**6, 0.1, 0.9e-6).center, "0.0515799498")


def test_smaller_beta_has_less_variance_and_is_slower():
    found = [sync.stationary(4, 0.1, beta / 4).center for beta in (0.01, 0.1, 0.9, 1.5)]
    assert found == sorted(found)
    assert sync.roots(0.1, 0.01 / 4, 0.01)[0].real > sync.roots(0.1, 0.9 / 4, 0.9)[0].real
    assert sync.stationary(4, 0.1, 0.225).worker > sync.stationary(4, 0.1, 0.225).center
    assert agrees(0.1 / 1.9 / 4, "0.013157894737")
    assert 0.01 * found[2] < 0.1 / 1.9 / 4  # one SGD with p times the batch


def test_best_rate():
    for p, beta, rate in groups(BEST_RATE, 3):
        best = sync.best_rate(int(p), 0.1)
        assert agrees(best.beta, beta)
        assert best.rate == pytest.approx(float(rate), abs=5e-8)
        for factor in (0.97, 1.0, 1.03):
            reached = max(abs(np.linalg.eigvalsh(step(int(p), 0.1, best.alpha * factor))))
            assert reached == pytest.approx(best.rate) if factor == 1 else reached > best.rate
    for beta, rate in ((0.9, "0.92150023"), (0.1, "0.93903882")):
        assert agrees(sync.roots(0.1, beta / 4, beta)[0].real, rate)


def test_best_mixing():
    for p in (2, 5, 16):
        best = sync.best_mixing(p)
        spread = np.sort(abs(np.linalg.eigvalsh(step(p, 0.0, best.alpha))))
        assert spread[-2] == pytest.approx(best.rate)
        for factor in (0.97, 1.03):
            assert np.sort(abs(np.linalg.eigvalsh(step(p, 0.0, best.alpha * factor))))[-2] > best.rate


def test_negative_moving_rate():
    for k, beta, alpha, root in groups(NEGATIVE, 4):
        best = sync.negative_alpha(float(k), float(beta))
        assert agrees(best.alpha, alpha)
        assert agrees(best.rate, root)
        for found in sync.roots(float(k), best.alpha, float(beta)):
            assert found == pytest.approx(best.rate, abs=1e-7)
        assert max(map(abs, sync.roots(float(k), best.alpha - 0.05, float(beta)))) > best.rate
        assert math.isclose(best.beta, float(beta))


def test_refusals():
    with pytest.raises(ValueError, match="does not converge"):
        sync.stationary(4, 0.1, 0.5)
    with pytest.raises(ValueError, match="must be > 0"):
        sync.center_variance(3, 4, 0.1, 0.0)
    with pytest.raises(ValueError, match="must be > 0"):
        sync.center_mean(3, 0.1, -0.1, [1.0], 1.0)
