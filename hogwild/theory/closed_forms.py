"""Thresholds that have a closed form. hogwild/theory/stability.py solves every case numerically; these check it."""

from __future__ import annotations

import math
from collections.abc import Callable

from hogwild.theory.loop import check_rule

HALVINGS = 200


def constant_delay(rule: str, delay: int, momentum: float = 0.0, dampening: float = 0.0) -> float:
    """Largest stable k for the rules none, standard and shifted at a constant delay tau.

        none      k = 2 sin(pi / (2 (2 tau + 1)))
        standard  (tau - 1/2) th + atan2(sin th, cos th - m) = pi/2;   c k = 2 sin(th/2) sqrt(1 - 2 m cos th + m^2)
        shifted   cos((tau + 1/2) th) = m cos(th/2);   c k = 2 sin(th/2) (sin((tau + 1/2) th) + m sin(th/2))

    with c = 1 - dampening and the smallest th > 0; both momenta give c k = 2 (1 + m) at tau = 0.

    Source: derived here, from eq. 5, 25 and 11 of Giladi et al. 2020 (arXiv:1909.12340) at z = exp(i th); that paper's
    own closed form (its fig. 6) is the approximation k = pi / (2 tau + 1) for `none`.
    Raises:   ValueError for nesterov and dana, for which no closed form is known here.

    >>> [round(constant_delay("none", delay), 3) for delay in (0, 4, 15)]
    [2.0, 0.347, 0.101]
    """
    check_rule(rule, momentum, dampening)
    if rule not in ("none", "standard", "shifted"):
        raise ValueError(f"rule {rule} has no closed form here")
    m, tau, half = momentum, delay, delay + 0.5
    if tau == 0:
        return 2 * (1 + m) / (1 - dampening)
    if rule == "standard":
        th = _root(lambda t: (tau - 0.5) * t + math.atan2(math.sin(t), math.cos(t) - m) - math.pi / 2, math.pi / tau)
        return 2 * math.sin(th / 2) * math.sqrt(1 - 2 * m * math.cos(th) + m * m) / (1 - dampening)
    th = _root(lambda t: m * math.cos(t / 2) - math.cos(half * t), math.pi / (2 * half))
    return 2 * math.sin(th / 2) * (math.sin(half * th) + m * math.sin(th / 2)) / (1 - dampening)


def uniform_delay(largest: int) -> float:
    """`none` with a delay uniform on 1 ... b: k = 2 b sin^2(pi / (2 (b + 2))) / cos(pi / (b + 2)). Derived here."""
    th = math.pi / (largest + 2)
    return 2 * largest * math.sin(th / 2) ** 2 / math.cos(th)


def correlation(delay: int, k: float) -> float:
    """rho = E x_t x_{t-tau} / E x_t^2 of `none` under additive white noise, for k below its threshold. Derived here.

    rho = cos(w (2 tau - 1) / 4 + pi/4) / cos(w (2 tau + 1) / 4 - pi/4),   w = 2 asin(k / 2).
    """
    w = 2 * math.asin(k / 2)
    return math.cos(w * (2 * delay - 1) / 4 + math.pi / 4) / math.cos(w * (2 * delay + 1) / 4 - math.pi / 4)


def mean_square(delay: int, noise: float) -> float:
    """`none` with minibatch noise q: the k that solves k (1 + q) = 2 rho(k).

    Derived here; at delay 0 it is k (1 + q) < 2, the condition of Wu et al. 2018.
    """
    return _root(lambda k: k * (1 + noise) - 2 * correlation(delay, k), constant_delay("none", delay))


def variance(delay: int, k: float) -> float:
    """`none` with additive gradient noise of variance s^2: Var x / (lr^2 s^2) = 1 / (k (2 rho - k)). Derived here."""
    return 1 / (k * (2 * correlation(delay, k) - k))


def _root(rising: Callable[[float], float], upper: float) -> float:
    """The point in (0, upper] at which the increasing function `rising` changes from negative to positive."""
    lower = 0.0
    for _ in range(HALVINGS):
        middle = (lower + upper) / 2
        lower, upper = (middle, upper) if rising(middle) < 0 else (lower, middle)
    return upper
