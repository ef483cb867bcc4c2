"""Synchronous EASGD on a quadratic with additive noise: mean and variance of the center, and three choices of rates.

p workers, k = curvature x lr, gradients h x - b - xi with xi of variance s^2, x* = b / h. The mean y of the workers and
the center c follow (y, c) <- M (y, c), M = [[1 - k - alpha, alpha], [beta, 1 - beta]], beta = p alpha unless said
otherwise. The roots of M are

    gamma, phi = 1 - (a -+ sqrt(a^2 - 4 k beta)) / 2,        a = k + alpha + beta

and it is stable if and only if (2 - k)(2 - beta) > 2 alpha, for k and alpha > 0.

No beta is best in variance: a smaller beta always lowers V[c], but the rate gamma then tends to 1 - beta.

Source: lemma and corollary of the supplement of Zhang, Choromanska and LeCun 2015 (arXiv:1412.6651), from memory; each
formula was checked against the recursion. Derived here: the covariances of the workers and best_rate.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Stationary:
    """Steady-state variances in units of (lr s)^2: center, workers' mean, one worker; and covariance of two workers."""

    center: float
    mean: float
    worker: float
    covariance: float


@dataclass(frozen=True)
class Best:
    """A moving rate, beta = p alpha, and the factor per step that it reaches."""

    alpha: float
    beta: float
    rate: float


def roots(k: float, alpha: float, beta: float) -> tuple[complex, complex]:
    """(gamma, phi). They are real for alpha > 0 and complex for an alpha below that of `negative_alpha`."""
    a = k + alpha + beta
    spread = complex(a * a - 4 * k * beta) ** 0.5
    return 1 - (a - spread) / 2, 1 - (a + spread) / 2


def is_stable(workers: int, k: float, alpha: float) -> bool:
    """Whether mean and variance converge, for alpha > 0."""
    return k > 0 and alpha > 0 and k < 2 and (2 - k) * (2 - workers * alpha) > 2 * alpha


def center_mean(steps: int, k: float, alpha: float, replicas: Sequence[float], center: float) -> float:
    """E[c_t - x*] after `steps`, from the replicas x_i - x* [p] and the center c - x*.

    gamma^t c_0 + (gamma^t - phi^t) / (gamma - phi) alpha u,   u = sum_i (x_i - alpha / (1 - p alpha - phi) c_0)

    Raises ValueError unless alpha > 0.
    """
    workers = len(replicas)
    gamma, phi = _real_roots(workers, k, alpha)
    pull = sum(x - alpha / (1 - workers * alpha - phi) * center for x in replicas)
    return gamma**steps * center + (gamma**steps - phi**steps) / (gamma - phi) * alpha * pull


def center_variance(steps: int, workers: int, k: float, alpha: float) -> float:
    """V[c_t] / (lr s)^2 after `steps` from a known start. Raises ValueError unless alpha > 0.

    p alpha^2 / (gamma - phi)^2 [(g^2 - g^2t) / (1 - g^2) + (f^2 - f^2t) / (1 - f^2) - 2 (g f - (g f)^t) / (1 - g f)]
    with g = gamma and f = phi.
    """
    gamma, phi = _real_roots(workers, k, alpha)

    def summed(ratio: float) -> float:
        return (ratio - ratio**steps) / (1 - ratio)

    total = summed(gamma**2) + summed(phi**2) - 2 * summed(gamma * phi)
    return workers * alpha**2 / (gamma - phi) ** 2 * total


def stationary(workers: int, k: float, alpha: float) -> Stationary:
    """The steady-state variances. Raises ValueError unless `is_stable`.

    V[c] = beta^2 / p (1 + g f) / ((1 - g^2) (1 - f^2) (1 - g f)). V[y] and Cov(y, c) follow from the fixed point of the
    recursion of c. The difference between a worker and y follows a recursion with factor 1 - k - alpha.
    """
    if not is_stable(workers, k, alpha):
        raise ValueError(f"synchronous EASGD with alpha {alpha:g} at curvature x lr {k:g} does not converge")
    gamma, phi = _real_roots(workers, k, alpha)
    beta = workers * alpha
    product = gamma * phi
    center = beta**2 / workers * (1 + product) / ((1 - gamma**2) * (1 - phi**2) * (1 - product))
    # V[c] = (1-b)^2 V[c] + 2 b (1-b) C + b^2 V[y] and C = (1-k-a) (b V[y] + (1-b) C) + a (b C + (1-b) V[c])
    keeps = 1 - k - alpha
    equations = [[beta**2, 2 * beta * (1 - beta)], [keeps * beta, keeps * (1 - beta) + alpha * beta - 1]]
    mean, _ = np.linalg.solve(equations, [(1 - (1 - beta) ** 2) * center, -alpha * (1 - beta) * center])
    apart = 1 / (1 - keeps**2)
    return Stationary(center, float(mean), float(mean + (1 - 1 / workers) * apart), float(mean - apart / workers))


def many_workers(k: float, beta: float) -> float:
    """lim p V[c] / (s / h)^2 for p -> inf at fixed beta.

    beta k / ((2 - beta) (2 - k)) (2 - beta - k + beta k) / (beta + k - beta k): the mean square error of the
    center is O(1/p). Source: the corollary.
    """
    return beta * k / ((2 - beta) * (2 - k)) * (2 - beta - k + beta * k) / (beta + k - beta * k)


def best_rate(workers: int, k: float) -> Best:
    """The fastest elastic alpha = beta / p, (2 - k) / (p + 1): rate sqrt(1 - k beta). Derived here."""
    alpha = (2 - k) / (workers + 1)
    return Best(alpha, workers * alpha, math.sqrt(1 - k * workers * alpha))


def best_mixing(workers: int) -> Best:
    """The alpha = 2 / (p + 2) that makes replicas and center agree fastest: rate p / (p + 2).

    It minimises max(|1 - alpha|, |1 - (p + 1) alpha|). Source: Wang and Joshi 2018 (Cooperative SGD), lemma 1.
    """
    alpha = 2 / (workers + 2)
    return Best(alpha, workers * alpha, workers / (workers + 2))


def negative_alpha(k: float, beta: float) -> Best:
    """alpha = -(sqrt(beta) - sqrt(k))^2, with beta on its own: the double root 1 - sqrt(beta k).

    The center then pushes the workers away, as momentum does. Derived here, after a remark in Zhang's thesis
    (arXiv:1605.02216).
    """
    return Best(-((math.sqrt(beta) - math.sqrt(k)) ** 2), beta, 1 - math.sqrt(beta * k))


def _real_roots(workers: int, k: float, alpha: float) -> tuple[float, float]:
    if not (alpha > 0 and k > 0):
        raise ValueError(f"alpha {alpha:g} and curvature x lr {k:g} must be > 0")
    gamma, phi = roots(k, alpha, workers * alpha)
    return gamma.real, phi.real
